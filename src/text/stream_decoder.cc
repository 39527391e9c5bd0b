#include "text/stream_decoder.h"

#include "text/rust.h"

namespace continuo::text {

void StreamDecoder::Free::operator()(ContinuoStream* stream) const { continuo_stream_free(stream); }

Result<std::string> StreamDecoder::push(int32_t id) {
  rust::Buffer text, message;
  const int32_t status =
      continuo_stream_push(stream_.get(), static_cast<uint32_t>(id), text.out(), message.out());
  CONTINUO_RETURN_IF_ERROR(rust::status(status, message));
  return text.str();
}

Result<std::string> StreamDecoder::flush() {
  rust::Buffer text, message;
  const int32_t status = continuo_stream_flush(stream_.get(), text.out(), message.out());
  CONTINUO_RETURN_IF_ERROR(rust::status(status, message));
  return text.str();
}

}  // namespace continuo::text
