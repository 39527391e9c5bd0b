#include "engine/private_folder.h"

#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>

namespace continuo::engine {
namespace {

using ::testing::HasSubstr;

struct stat of(uid_t owner, mode_t mode) {
  struct stat status {};
  status.st_uid = owner;
  status.st_mode = mode;
  return status;
}

TEST(PrivateFolder, WhatIsOnesOwnIsWhatNobodyElseMayWriteTo) {
  constexpr uid_t kMe = 1007, kOther = 1009;
  EXPECT_TRUE(check_owner("f", of(kMe, 0700), kMe, 022).ok());
  EXPECT_TRUE(check_owner("f", of(kMe, 0755), kMe, 022).ok());
  EXPECT_TRUE(check_owner("f", of(0, 0600), 0, 077).ok());
  const auto refusal = [](const Status& status) {
    return status.ok() ? "" : std::string(status.error().message);
  };
  for (const uid_t user : {kMe, uid_t{0}}) {  // root too trusts nobody else's files
    const Status status = check_owner("/a/folder", of(kOther, 0700), user, 022);
    EXPECT_EQ(refusal(status),
              fmt::format("/a/folder: belongs to user 1009, expected user {}", user));
    EXPECT_EQ(status.error().code, ErrorCode::kInvalidArgument);
  }
  for (const mode_t writable : {0720, 0702, 0777})
    EXPECT_THAT(refusal(check_owner("f", of(kMe, writable), kMe, 022)),
                HasSubstr("other users may write to it"));
  for (const mode_t readable : {0640, 0604})
    EXPECT_THAT(refusal(check_owner("f", of(kMe, readable), kMe, 077)),
                HasSubstr("other users may read or write it"));
}

// Root can give a folder away; for everybody else the system's are another's.
TEST(PrivateFolder, AnothersFolderIsNotOpened) {
  std::string path = testing::TempDir() + "continuo.folder.XXXXXX";
  ASSERT_NE(mkdtemp(path.data()), nullptr);
  EXPECT_TRUE(PrivateFolder::open(path).ok());
  const std::string made = path;
  if (geteuid() == 0)
    ASSERT_EQ(chown(path.c_str(), 65534, gid_t(-1)), 0);
  else
    path = "/";
  const auto opened = PrivateFolder::open(path);
  ASSERT_FALSE(opened.ok());
  EXPECT_THAT(opened.error().message, HasSubstr("belongs to user "));
  EXPECT_EQ(opened.error().code, ErrorCode::kInvalidArgument);
  std::filesystem::remove_all(made);
}

}  // namespace
}  // namespace continuo::engine
