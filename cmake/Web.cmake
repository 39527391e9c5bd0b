# CONTINUO_WEB_FILES: what the page loads of others, an address and a file in turn, for the server to embed.
# scripts/web-modules.sh lays the files there; cmake runs again when the list changes.
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/scripts/npm/files.txt)
file(STRINGS ${CMAKE_SOURCE_DIR}/scripts/npm/files.txt web_lines REGEX "^[^#]")
set(CONTINUO_WEB_FILES)
foreach(line ${web_lines})
  string(REGEX MATCH "^[^ ]+" name ${line})
  if(NOT EXISTS ${CONTINUO_DEPS}/web/${name})
    message(FATAL_ERROR "${CONTINUO_DEPS}/web/${name} is missing: run `make setup` first")
  endif()
  list(APPEND CONTINUO_WEB_FILES vendor/${name} ${CONTINUO_DEPS}/web/${name})
endforeach()
