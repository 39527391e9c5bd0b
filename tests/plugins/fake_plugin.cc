// Plugins that are wrong in one way each, chosen by FAKE_PLUGIN at compile time.
#include <pjrt_c_api.h>

#include <cstddef>
#include <cstring>

#define NOT_A_PLUGIN 1
#define WRONG_MAJOR 2
#define OLD_PLUGIN 3     // its PJRT_Api ends before PJRT_Plugin_Attributes
#define FAILING_START 4  // PJRT_Plugin_Initialize returns an error

#if FAKE_PLUGIN != NOT_A_PLUGIN
struct PJRT_Error {
  int unused;
};

namespace {

PJRT_Error failure;

void destroy(PJRT_Error_Destroy_Args*) {}
void message(PJRT_Error_Message_Args* args) {
  args->message = "the fake device is on fire";
  args->message_size = std::strlen(args->message);
}
PJRT_Error* code(PJRT_Error_GetCode_Args* args) {
  args->code = PJRT_Error_Code_UNAVAILABLE;
  return nullptr;
}
PJRT_Error* initialize(PJRT_Plugin_Initialize_Args*) {
  return FAKE_PLUGIN == FAILING_START ? &failure : nullptr;
}

}  // namespace

extern "C" const PJRT_Api* GetPjrtApi() {
  static PJRT_Api api{};
  api.struct_size = FAKE_PLUGIN == OLD_PLUGIN ? offsetof(PJRT_Api, PJRT_Plugin_Attributes)
                                              : static_cast<size_t>(PJRT_Api_STRUCT_SIZE);
  api.pjrt_api_version.major_version = FAKE_PLUGIN == WRONG_MAJOR ? PJRT_API_MAJOR + 7 : 0;
  api.pjrt_api_version.minor_version = FAKE_PLUGIN == OLD_PLUGIN ? 3 : PJRT_API_MINOR;
  api.PJRT_Error_Destroy = destroy;
  api.PJRT_Error_Message = message;
  api.PJRT_Error_GetCode = code;
  api.PJRT_Plugin_Initialize = initialize;
  return &api;
}
#else
extern "C" int nothing_to_see() { return 0; }
#endif
