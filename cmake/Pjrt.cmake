# The PJRT C API's header, that of XLA's custom calls and the pinned plugins, from the wheels that scripts/setup.sh unpacks.
# pjrt_headers carries the include folders and the plugins' paths as definitions.
set(CONTINUO_CPU_PLUGIN
    ${CONTINUO_DEPS}/lammps_jax_pjrt_cpu/lammps_jax_pjrt_cpu/pjrt_c_api_cpu_plugin.so
    CACHE FILEPATH "The default PJRT plugin")
set(CONTINUO_CPU_PLUGIN_ALT
    ${CONTINUO_DEPS}/xla_cpu_pjrt/xla_plugins/xla_cpu_pjrt/xla_cpu_pjrt.so
    CACHE FILEPATH "The official CPU plugin, an older PJRT API; tests run on both")

set(pjrt_include ${CONTINUO_DEPS}/xla_cpu_pjrt/xla_plugins/xla_cpu_pjrt/include)
set(ffi_include ${CONTINUO_DEPS}/xla_ffi)
foreach(header ${pjrt_include}/pjrt_c_api.h ${ffi_include}/xla/ffi/api/c_api.h)
  if(NOT EXISTS ${header})
    message(FATAL_ERROR "${header} is missing: run `make setup` first")
  endif()
endforeach()

add_library(pjrt_headers INTERFACE)
target_include_directories(pjrt_headers SYSTEM INTERFACE ${pjrt_include} ${ffi_include})
target_compile_definitions(pjrt_headers INTERFACE
  CONTINUO_CPU_PLUGIN="${CONTINUO_CPU_PLUGIN}"
  CONTINUO_CPU_PLUGIN_ALT="${CONTINUO_CPU_PLUGIN_ALT}"
  CONTINUO_DEPS_DIR="${CONTINUO_DEPS}")
