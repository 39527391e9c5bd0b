# One static library a folder of src/; the *_test.cc beside its sources become one test program.
# continuo_module(graph DEPS base LIBS fmt::fmt) defines continuo_graph and graph_test; TEST_DEPS are
# folders that only the tests may include; EXCLUDE is a regex of sources to leave out. Each *_fuzz.cc becomes a
# fuzzer (cmake/Fuzz.cmake) of the library or, where FUZZ_SOURCES says which of its files are fuzzed, of
# those and FUZZ_LIBS alone.
function(continuo_module name)
  cmake_parse_arguments(ARG "" "EXCLUDE" "DEPS;LIBS;TEST_DEPS;FUZZ_SOURCES;FUZZ_LIBS" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS *.cc)
  if(ARG_EXCLUDE)
    list(FILTER sources EXCLUDE REGEX "${ARG_EXCLUDE}")
  endif()
  set(tests ${sources})
  set(fuzzers ${sources})
  list(FILTER sources EXCLUDE REGEX "(_test|_fuzz|/main)\\.cc$")
  list(FILTER tests INCLUDE REGEX "_test\\.cc$")
  list(FILTER fuzzers INCLUDE REGEX "_fuzz\\.cc$")

  list(TRANSFORM ARG_DEPS PREPEND continuo_)
  list(TRANSFORM ARG_TEST_DEPS PREPEND continuo_)
  if(sources)
    add_library(continuo_${name} STATIC ${sources})
    set(scope PUBLIC)
  else()
    add_library(continuo_${name} INTERFACE)
    set(scope INTERFACE)
  endif()
  target_include_directories(continuo_${name} ${scope} ${CMAKE_SOURCE_DIR}/src)
  target_link_libraries(continuo_${name} ${scope} ${ARG_DEPS} ${ARG_LIBS})

  if(tests)
    add_executable(${name}_test ${tests})
    target_link_libraries(${name}_test PRIVATE
      continuo_${name} ${ARG_TEST_DEPS} GTest::gmock GTest::gtest_main)
    target_compile_definitions(${name}_test PRIVATE
      CONTINUO_TEST_DATA="${CMAKE_SOURCE_DIR}/tests")
    target_compile_options(${name}_test PRIVATE ${CONTINUO_TEST_OPTIONS})
    add_test(NAME ${name} COMMAND ${name}_test)
    set_tests_properties(${name} PROPERTIES LABELS unit)
  endif()
  foreach(fuzzer ${fuzzers})
    string(REGEX REPLACE "^.*/(.*)_fuzz\\.cc$" "\\1" fuzzer_name ${fuzzer})
    if(ARG_FUZZ_SOURCES)
      continuo_fuzzer(${fuzzer_name} SOURCES ${fuzzer} ${ARG_FUZZ_SOURCES} DEPS ${ARG_FUZZ_LIBS})
    else()
      continuo_fuzzer(${fuzzer_name} SOURCES ${fuzzer} DEPS continuo_${name})
    endif()
  endforeach()
endfunction()
