#include "runtime/executor.h"

namespace continuo::runtime {

Result<HostTensor> Buffer::download() const {
  HostTensor tensor(dtype(), shape());
  CONTINUO_RETURN_IF_ERROR(download(std::span<std::byte>(tensor.data(), tensor.bytes())));
  return tensor;
}

}  // namespace continuo::runtime
