/* C ABI of the crate continuo-text: tokenizers and chat templates.
 *
 * Every function with an `error` parameter returns 0 or one of CONTINUO_TEXT_*; on failure `error`
 * owns a message (UTF-8) and the outputs are untouched, on success `error` is untouched. Panics
 * never cross. A ContinuoBuffer or ContinuoIds that was filled is released with its free function;
 * handles with theirs. Freeing null does nothing. Slices are borrowed for the call only.
 * Tokenizers and templates may be used by many threads at once, a stream by one at a time. */
#ifndef CONTINUO_TEXT_H_
#define CONTINUO_TEXT_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
  CONTINUO_TEXT_OK = 0,
  CONTINUO_TEXT_INVALID_ARGUMENT = 1,
  CONTINUO_TEXT_CORRUPT = 2,
  CONTINUO_TEXT_UNSUPPORTED = 3,
  CONTINUO_TEXT_INTERNAL = 4,
  CONTINUO_TEXT_CANCELLED = 5,
};

typedef struct {
  const char* data;
  size_t size;
} ContinuoSlice;

typedef struct {
  char* data;
  size_t size;
} ContinuoBuffer;

typedef struct {
  uint32_t* data;
  size_t size;
} ContinuoIds;

typedef struct ContinuoTokenizer ContinuoTokenizer;
typedef struct ContinuoStream ContinuoStream;
typedef struct ContinuoTemplate ContinuoTemplate;

void continuo_buffer_free(ContinuoBuffer buffer);
void continuo_ids_free(ContinuoIds ids);

/* The text of a tokenizer.json; `context` as below. */
int32_t continuo_tokenizer_from_json(ContinuoSlice json, ContinuoSlice context,
                                     ContinuoTokenizer** out, ContinuoBuffer* error);
/* A JSON object with GGUF's keys tokenizer.ggml.*; a null among the scores is one not finite. */
int32_t continuo_tokenizer_from_gguf(ContinuoSlice metadata, ContinuoTokenizer** out,
                                     ContinuoBuffer* error);
/* One of the files that a folder may have instead of a tokenizer.json: tokenizer.model,
 * tiktoken.model, tekken.json, tokenizer.jsonl, rwkv_vocab_*.txt, vocab.json, as `name` says.
 * `context`: a JSON object with the parsed files around it, each an object or absent:
 * tokenizer_config, special_tokens_map, added_tokens, config; and `merges`, merges.txt as text. */
int32_t continuo_tokenizer_from_file(ContinuoSlice name, ContinuoSlice data, ContinuoSlice context,
                                     ContinuoTokenizer** out, ContinuoBuffer* error);
void continuo_tokenizer_free(ContinuoTokenizer* tokenizer);

/* A JSON object: vocab_size; bos, eos, eot, pad, unknown (id or null; a tokenizer.json does not say
 * them); end_ids (likewise), prefix and suffix (the ids that encode adds), chat_template (text or
 * null), warnings (texts). */
int32_t continuo_tokenizer_info(const ContinuoTokenizer* tokenizer, ContinuoBuffer* out,
                                ContinuoBuffer* error);
/* Bytes that are no UTF-8 are read as U+FFFD. `stop`, unless null, is called with `context` about
 * every millisecond, on this thread; it may encode other texts meanwhile, and must not throw. Once
 * it returns true the call ends with CONTINUO_TEXT_CANCELLED. */
int32_t continuo_tokenizer_encode(const ContinuoTokenizer* tokenizer, ContinuoSlice text,
                                  bool add_special, bool parse_special, bool (*stop)(void* context),
                                  void* context, ContinuoIds* out, ContinuoBuffer* error);
/* Ids without a token add nothing. */
int32_t continuo_tokenizer_decode(const ContinuoTokenizer* tokenizer, const uint32_t* ids,
                                  size_t count, bool skip_special, ContinuoBuffer* out,
                                  ContinuoBuffer* error);
/* The token as the vocabulary writes it, or the bytes it adds to a text. */
int32_t continuo_tokenizer_token(const ContinuoTokenizer* tokenizer, uint32_t id, bool as_bytes,
                                 bool* found, ContinuoBuffer* out, ContinuoBuffer* error);
int32_t continuo_tokenizer_id(const ContinuoTokenizer* tokenizer, ContinuoSlice token, bool* found,
                              uint32_t* id, ContinuoBuffer* error);
bool continuo_tokenizer_is_special(const ContinuoTokenizer* tokenizer, uint32_t id);

/* Keeps what it needs of the tokenizer alive. */
int32_t continuo_stream_new(const ContinuoTokenizer* tokenizer, bool skip_special,
                            ContinuoStream** out, ContinuoBuffer* error);
/* The text that has become certain; may be empty. */
int32_t continuo_stream_push(ContinuoStream* stream, uint32_t id, ContinuoBuffer* out,
                             ContinuoBuffer* error);
/* The text held back; the stream starts anew. */
int32_t continuo_stream_flush(ContinuoStream* stream, ContinuoBuffer* out, ContinuoBuffer* error);
void continuo_stream_free(ContinuoStream* stream);

/* What compiling or rendering any template may take from now on, besides a multiple of its input:
 * bytes of memory and milliseconds. A template that takes more is refused from then on; the thread
 * it ran on stays behind, stopped. */
void continuo_template_limits(uint64_t memory, uint64_t milliseconds);

int32_t continuo_template_new(ContinuoSlice source, ContinuoTemplate** out, ContinuoBuffer* error);

typedef struct {
  ContinuoSlice messages;  /* JSON array */
  ContinuoSlice tools;     /* JSON array, or empty for none */
  ContinuoSlice variables; /* JSON object of further variables, or empty */
  const int64_t* now;      /* seconds since 1970, read as UTC; null: the local clock */
  bool add_generation_prompt;
} ContinuoRender;

int32_t continuo_template_render(const ContinuoTemplate* chat_template, const ContinuoRender* input,
                                 ContinuoBuffer* out, ContinuoBuffer* error);
void continuo_template_free(ContinuoTemplate* chat_template);

#ifdef __cplusplus
}
#endif

#endif /* CONTINUO_TEXT_H_ */
