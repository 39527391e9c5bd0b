# continuo_fuzzer(gguf SOURCES gguf_fuzz.cc DEPS continuo_checkpoint) defines the libFuzzer program
# gguf_fuzz; its corpus is tests/fuzz/gguf/. Only with clang and -DCONTINUO_FUZZ=ON (preset fuzz).
option(CONTINUO_FUZZ "Build the fuzzers, with sanitizers and coverage; needs clang" OFF)

if(CONTINUO_FUZZ)
  if(NOT CMAKE_CXX_COMPILER_ID MATCHES Clang)
    message(FATAL_ERROR "CONTINUO_FUZZ needs clang, got ${CMAKE_CXX_COMPILER_ID}")
  endif()
  add_compile_options(-fsanitize=fuzzer-no-link -fprofile-instr-generate -fcoverage-mapping)
  add_link_options(-fprofile-instr-generate)
  add_custom_target(fuzzers)
endif()

function(continuo_fuzzer name)
  if(NOT CONTINUO_FUZZ)
    return()
  endif()
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name}_fuzz ${ARG_SOURCES})
  target_link_libraries(${name}_fuzz PRIVATE ${ARG_DEPS})
  target_link_options(${name}_fuzz PRIVATE -fsanitize=fuzzer)
  target_compile_definitions(${name}_fuzz PRIVATE CONTINUO_TEST_DATA="${CMAKE_SOURCE_DIR}/tests")
  set_target_properties(${name}_fuzz PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/fuzzers)
  add_dependencies(fuzzers ${name}_fuzz)
endfunction()
