# Compiler flags and where the pinned third-party files are.
set(CONTINUO_DEPS ${CMAKE_CURRENT_SOURCE_DIR}/build/deps CACHE PATH
    "Folder that scripts/setup.sh fills with the unpacked wheels")
set(CONTINUO_SANITIZE "" CACHE STRING "address,undefined | thread | empty")

add_compile_options(-Wall -Wextra -Wshadow -Wno-missing-field-initializers)
add_compile_options(-ffp-contract=off)  # dequantisation equals the reference bit for bit
if(CONTINUO_SANITIZE)
  add_compile_options(-fsanitize=${CONTINUO_SANITIZE} -fno-omit-frame-pointer
                      -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${CONTINUO_SANITIZE})
endif()
# Checks before every access nearly double the time to compile; a null pointer is the address sanitizer's find
# anyway, and the fuzzers' builds have them all.
if(CONTINUO_SANITIZE MATCHES undefined AND NOT CONTINUO_FUZZ)
  add_compile_options(-fno-sanitize=null,alignment,vptr,object-size)
endif()

# The *_test.cc only: optimizing and instrumenting gtest's templates takes longer than running them. The libraries
# that they test are compiled with all that is asked for.
set(CONTINUO_TEST_OPTIONS -O0)
if(CONTINUO_SANITIZE MATCHES undefined)
  list(APPEND CONTINUO_TEST_OPTIONS -fno-sanitize=undefined)
endif()

find_package(fmt REQUIRED)
find_package(spdlog REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(CLI11 REQUIRED)
find_package(GTest REQUIRED)
find_package(Threads REQUIRED)
find_package(hwy REQUIRED)
find_package(OpenSSL REQUIRED COMPONENTS Crypto SSL)
