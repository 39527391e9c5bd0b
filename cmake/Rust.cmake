# continuo_rust: the static library of the crate in rust/, built by cargo with the locked crates.
# All build trees share one target folder, so that the crates are compiled once.
execute_process(COMMAND ${CMAKE_SOURCE_DIR}/scripts/rust-toolchain.sh
                OUTPUT_VARIABLE rust_bin OUTPUT_STRIP_TRAILING_WHITESPACE
                COMMAND_ERROR_IS_FATAL ANY)

set(rust_target_dir ${CMAKE_SOURCE_DIR}/build/rust)
set(rust_library ${rust_target_dir}/release/libcontinuo_text.a)
file(GLOB_RECURSE rust_sources CONFIGURE_DEPENDS
     ${CMAKE_SOURCE_DIR}/rust/*.rs ${CMAKE_SOURCE_DIR}/rust/Cargo.*)
list(FILTER rust_sources EXCLUDE REGEX "/rust/target/")

# cargo leaves an up-to-date library alone; without the touch ninja would ask it again each time.
add_custom_command(
  OUTPUT ${rust_library}
  COMMAND ${CMAKE_COMMAND} -E env "PATH=${rust_bin}:$ENV{PATH}" --unset=RUSTFLAGS
          cargo build --locked --release --target-dir ${rust_target_dir}
          --manifest-path ${CMAKE_SOURCE_DIR}/rust/Cargo.toml
  COMMAND ${CMAKE_COMMAND} -E touch ${rust_library}
  DEPENDS ${rust_sources}
  COMMENT "Building the Rust crate"
  USES_TERMINAL VERBATIM)
add_custom_target(continuo_rust_build DEPENDS ${rust_library})

add_library(continuo_rust STATIC IMPORTED GLOBAL)
set_target_properties(continuo_rust PROPERTIES
  IMPORTED_LOCATION ${rust_library}
  INTERFACE_INCLUDE_DIRECTORIES ${CMAKE_SOURCE_DIR}/rust/include)
target_link_libraries(continuo_rust INTERFACE Threads::Threads ${CMAKE_DL_LIBS} m)
add_dependencies(continuo_rust continuo_rust_build)
