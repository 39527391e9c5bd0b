#include "server/tls.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <array>
#include <boost/asio/error.hpp>
#include <cerrno>
#include <new>

#include "base/mapped_file.h"

namespace continuo::server {
namespace {

using boost::asio::ip::tcp;
using boost::system::error_code;

constexpr size_t kLongestFile = 1 << 20;
constexpr std::array<unsigned char, 9> kHttp11 = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};

// The oldest of OpenSSL's errors, which names the cause, and no longer any.
std::string take_reason() {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  const char* reason = ERR_reason_error_string(code);
  return reason != nullptr ? reason : "an unknown error";
}

using Bio = std::unique_ptr<BIO, decltype(&BIO_free)>;

Result<Bio> open_pem(const std::string& text) {
  Bio bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())), BIO_free);
  if (!bio) throw std::bad_alloc();
  return bio;
}

// Instead of a prompt at the terminal, which would stop the server for ever.
int refuse_to_ask(char* /*buffer*/, int /*size*/, int /*writing*/, void* asked) {
  *static_cast<bool*>(asked) = true;
  return -1;
}

Status use_certificates(SSL_CTX* context, const std::string& file) {
  const auto wrong = [&] {
    return error(ErrorCode::kInvalidArgument, "{}: expected a certificate in PEM, got: {}", file,
                 take_reason());
  };
  CONTINUO_TRY(const std::string text, read_text_file(file, kLongestFile));
  CONTINUO_TRY(const Bio bio, open_pem(text));
  using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;
  const auto next = [&] {
    return Certificate(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr), X509_free);
  };
  const Certificate own = next();
  if (!own || SSL_CTX_use_certificate(context, own.get()) != 1) return wrong();
  while (const Certificate issuer = next())
    if (SSL_CTX_add1_chain_cert(context, issuer.get()) != 1) return wrong();
  // Reading ends where no further certificate begins; anything else is a broken one.
  if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE) return wrong();
  ERR_clear_error();
  return ok_status();
}

Status use_key(SSL_CTX* context, const std::string& file, const std::string& certificate_file) {
  CONTINUO_TRY(const std::string text, read_text_file(file, kLongestFile));
  CONTINUO_TRY(const Bio bio, open_pem(text));
  bool encrypted = false;
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(
      PEM_read_bio_PrivateKey(bio.get(), nullptr, refuse_to_ask, &encrypted), EVP_PKEY_free);
  if (encrypted) {
    ERR_clear_error();
    return error(ErrorCode::kInvalidArgument,
                 "{}: expected a key without a password, got an encrypted one; decrypt it with "
                 "`openssl pkey -in KEY -out PLAIN_KEY`",
                 file);
  }
  if (!key)
    return error(ErrorCode::kInvalidArgument, "{}: expected a private key in PEM, got: {}", file,
                 take_reason());
  if (X509_check_private_key(SSL_CTX_get0_certificate(context), key.get()) != 1) {
    ERR_clear_error();
    return error(ErrorCode::kInvalidArgument,
                 "{}: expected the key of the certificate in {}, got another one's", file,
                 certificate_file);
  }
  if (SSL_CTX_use_PrivateKey(context, key.get()) != 1)
    return error(ErrorCode::kInvalidArgument, "{}: {}", file, take_reason());
  return ok_status();
}

// Of a client's protocols, HTTP/1.1 is the one that we speak.
int choose_protocol(SSL* /*ssl*/, const unsigned char** chosen, unsigned char* size,
                    const unsigned char* offered, unsigned offered_size, void* /*unused*/) {
  unsigned char* found = nullptr;
  if (SSL_select_next_proto(&found, size, kHttp11.data(), kHttp11.size(), offered, offered_size) !=
      OPENSSL_NPN_NEGOTIATED)
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  *chosen = found;
  return SSL_TLSEXT_ERR_OK;
}

}  // namespace

Result<TlsContext> TlsContext::load(const std::string& certificate_file,
                                    const std::string& key_file) {
  ERR_clear_error();
  std::shared_ptr<SSL_CTX> context(SSL_CTX_new(TLS_server_method()), SSL_CTX_free);
  if (!context) return error(ErrorCode::kUnavailable, "TLS cannot be set up: {}", take_reason());
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  // HTTP says where a message ends, so that a connection's end without a farewell hides nothing.
  SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                         SSL_OP_IGNORE_UNEXPECTED_EOF);
  SSL_CTX_set_mode(context.get(), SSL_MODE_ENABLE_PARTIAL_WRITE |
                                      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                      SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);  // clients keep tickets
  SSL_CTX_set_alpn_select_cb(context.get(), choose_protocol, nullptr);
  CONTINUO_RETURN_IF_ERROR(use_certificates(context.get(), certificate_file));
  CONTINUO_RETURN_IF_ERROR(use_key(context.get(), key_file, certificate_file));
  return TlsContext(std::move(context));
}

TlsStream::TlsStream(const TlsContext& context, int socket)
    : ssl_(SSL_new(context.get()), SSL_free) {
  if (!ssl_ || SSL_set_fd(ssl_.get(), socket) != 1) throw std::bad_alloc();
  SSL_set_accept_state(ssl_.get());
}

Transfer TlsStream::result(int returned, size_t count, tcp::socket::wait_type usual) {
  const int system = errno;
  switch (SSL_get_error(ssl_.get(), returned)) {
    case SSL_ERROR_NONE:
      return {count, {}, usual};
    case SSL_ERROR_WANT_READ:
      return {0, boost::asio::error::would_block, tcp::socket::wait_read};
    case SSL_ERROR_WANT_WRITE:
      return {0, boost::asio::error::would_block, tcp::socket::wait_write};
    case SSL_ERROR_ZERO_RETURN:
      return {0, boost::asio::error::eof, usual};
    case SSL_ERROR_SYSCALL: {
      usable_ = false;
      if (system == 0) return {0, boost::asio::error::connection_reset, usual};
      return {0, error_code(system, boost::system::system_category()), usual};
    }
    default:
      usable_ = false;
      got_plain_http_ = ERR_GET_REASON(ERR_peek_error()) == SSL_R_HTTP_REQUEST;
      reason_ = take_reason();
      return {0, boost::asio::error::connection_aborted, usual};
  }
}

// SSL_get_error looks at the thread's queue of errors as well, which others may have left.
Transfer TlsStream::handshake() {
  ERR_clear_error();
  errno = 0;
  const Transfer out = result(SSL_do_handshake(ssl_.get()), 0, tcp::socket::wait_read);
  usable_ = !out.failure;
  return out;
}

Transfer TlsStream::read(char* data, size_t size) {
  ERR_clear_error();
  errno = 0;
  size_t count = 0;
  const int returned = SSL_read_ex(ssl_.get(), data, size, &count);
  return result(returned, count, tcp::socket::wait_read);
}

Transfer TlsStream::write(std::string_view data) {
  ERR_clear_error();
  errno = 0;
  size_t count = 0;
  const int returned = SSL_write_ex(ssl_.get(), data.data(), data.size(), &count);
  return result(returned, count, tcp::socket::wait_write);
}

bool TlsStream::has_unread() const { return SSL_pending(ssl_.get()) > 0; }

void TlsStream::close() {
  if (!usable_) return;
  ERR_clear_error();
  SSL_shutdown(ssl_.get());
  ERR_clear_error();
}

}  // namespace continuo::server
