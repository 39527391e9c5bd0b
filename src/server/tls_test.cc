#include "server/tls.h"

#include <gmock/gmock.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <filesystem>
#include <fstream>
#include <functional>

namespace continuo::server {
namespace {

using ::testing::HasSubstr;
using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;

std::string pem(const std::function<int(BIO*)>& write) {
  const std::unique_ptr<BIO, decltype(&BIO_free)> bio(BIO_new(BIO_s_mem()), BIO_free);
  EXPECT_EQ(write(bio.get()), 1);
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &text);
  return {text, static_cast<size_t>(size)};
}

Key new_key() { return {EVP_EC_gen("P-256"), EVP_PKEY_free}; }

std::string as_pem(const Key& key, const char* password = nullptr) {
  return pem([&](BIO* bio) {
    return PEM_write_bio_PKCS8PrivateKey(bio, key.get(), password ? EVP_aes_128_cbc() : nullptr,
                                         nullptr, 0, nullptr, const_cast<char*>(password));
  });
}

// Signed by its own key.
std::string certificate_of(const Key& key, const char* name) {
  const std::unique_ptr<X509, decltype(&X509_free)> out(X509_new(), X509_free);
  X509_set_version(out.get(), X509_VERSION_3);
  X509_gmtime_adj(X509_getm_notBefore(out.get()), -60);
  X509_gmtime_adj(X509_getm_notAfter(out.get()), 600);
  X509_set_pubkey(out.get(), key.get());
  X509_NAME_add_entry_by_txt(X509_get_subject_name(out.get()), "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(name), -1, -1, 0);
  X509_set_issuer_name(out.get(), X509_get_subject_name(out.get()));
  EXPECT_GT(X509_sign(out.get(), key.get(), EVP_sha256()), 0);
  return pem([&](BIO* bio) { return PEM_write_bio_X509(bio, out.get()); });
}

class TlsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = ::testing::TempDir() + "tls.XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string file(const std::string& name, const std::string& text) const {
    const auto path = folder_ / name;
    std::ofstream(path) << text;
    return path.string();
  }
  static std::string failure(const std::string& certificate, const std::string& key) {
    const auto loaded = TlsContext::load(certificate, key);
    return loaded.ok() ? "" : loaded.error().message;
  }

  std::filesystem::path folder_;
  const Key key_ = new_key(), other_ = new_key();
  const std::string certificate_ = certificate_of(key_, "localhost");
};

TEST_F(TlsTest, LoadsACertificateWithItsIssuersAndItsKey) {
  const std::string issuer = certificate_of(other_, "issuer");
  EXPECT_EQ(failure(file("one", certificate_), file("key", as_pem(key_))), "");
  EXPECT_EQ(
      failure(file("chain", certificate_ + "\n" + issuer + issuer), file("key", as_pem(key_))), "");
  const std::string both = file("both", as_pem(key_) + certificate_);
  EXPECT_EQ(failure(both, both), "");
}

TEST_F(TlsTest, NamesTheFileAndWhatIsWrong) {
  const std::string good = file("cert.pem", certificate_), key = file("key.pem", as_pem(key_));
  EXPECT_THAT(failure(folder_ / "none.pem", key), HasSubstr("none.pem"));
  EXPECT_THAT(failure(good, folder_ / "none.pem"), HasSubstr("none.pem"));
  EXPECT_THAT(failure(folder_, key), HasSubstr(folder_.string()));
  EXPECT_THAT(failure(file("empty", ""), key), HasSubstr("empty: "));
  EXPECT_THAT(failure(key, key), HasSubstr("key.pem: expected a certificate in PEM"));
  EXPECT_THAT(failure(good, good), HasSubstr("cert.pem: expected a private key in PEM"));
  const std::string cut = certificate_ + certificate_.substr(0, certificate_.size() / 2);
  EXPECT_THAT(failure(file("cut.pem", cut), key), HasSubstr("cut.pem: expected a certificate"));
  EXPECT_THAT(failure(good, file("other.pem", as_pem(other_))),
              HasSubstr("other.pem: expected the key of the certificate in " + good));
  EXPECT_THAT(failure(good, file("locked.pem", as_pem(key_, "secret"))),
              HasSubstr("locked.pem: expected a key without a password"));
}

}  // namespace
}  // namespace continuo::server
