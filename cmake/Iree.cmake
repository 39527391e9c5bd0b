# iree_runtime: IREE's runtime and the headers of its compiler, where `make setup-iree` built them. CONTINUO_IREE says
# whether they are there; without them src/runtime/iree/stub.cc takes the executor's place.
set(iree_root ${CONTINUO_DEPS}/iree)
set(CONTINUO_IREE_COMPILER
    ${CONTINUO_DEPS}/iree_base_compiler/iree/compiler/_mlir_libs/libIREECompiler.so
    CACHE FILEPATH "IREE's compiler, loaded at run time")

# The folder changes when something is added to it: cmake runs again after `make setup-iree`.
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${CONTINUO_DEPS})
# Builds under sanitizers leave it out: its compiler slows down so much there that tests do not end.
set(CONTINUO_IREE OFF)
set(CONTINUO_IREE_CUDA OFF)
if(NOT CONTINUO_SANITIZE AND EXISTS ${iree_root}/lib/libiree_runtime_unified.a AND EXISTS ${CONTINUO_IREE_COMPILER})
  set(CONTINUO_IREE ON)
  add_library(iree_runtime INTERFACE)
  target_include_directories(iree_runtime SYSTEM INTERFACE ${iree_root}/include)
  target_compile_definitions(iree_runtime INTERFACE
    IREE_ALLOCATOR_SYSTEM_CTL=iree_allocator_libc_ctl
    CONTINUO_IREE_COMPILER="${CONTINUO_IREE_COMPILER}")
  # `make setup-iree-cuda` puts cuda.h beside the headers, when the runtime has the CUDA driver.
  if(EXISTS ${iree_root}/include/cuda.h)
    set(CONTINUO_IREE_CUDA ON)
    target_compile_definitions(iree_runtime INTERFACE CONTINUO_IREE_CUDA)
  endif()
  target_link_libraries(iree_runtime INTERFACE
    ${iree_root}/lib/libiree_runtime_unified.a ${iree_root}/lib/libflatcc_parsing.a
    Threads::Threads ${CMAKE_DL_LIBS} m)
endif()
