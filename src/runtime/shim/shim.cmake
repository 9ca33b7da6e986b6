# The shim: linked statically, without the C++ standard library, and against musl where that is installed (a third of
# the memory a pod; see docs/decisions/0008-oci-runtime.md). Never sanitized: its sources are tested as part of
# knarr_runtime.
file(GLOB KNARR_SHIM_SOURCES CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/*.cc)
list(FILTER KNARR_SHIM_SOURCES EXCLUDE REGEX "_test\\.cc$")
add_executable(knarr-shim ${KNARR_SHIM_SOURCES} ${CMAKE_CURRENT_SOURCE_DIR}/main/shim_main.cc)
target_include_directories(knarr-shim PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
target_compile_options(knarr-shim PRIVATE -Wall -Wextra -Wpedantic -Wshadow -Werror -Os -U_FORTIFY_SOURCE
  -fno-exceptions -fno-rtti -fno-threadsafe-statics -fno-asynchronous-unwind-tables -ffunction-sections -fdata-sections)
target_link_options(knarr-shim PRIVATE -static -s -Wl,--gc-sections)
# The C driver links: it does not add libstdc++.
set_target_properties(knarr-shim PROPERTIES LINKER_LANGUAGE C)
file(GLOB KNARR_MUSL_SPECS /usr/lib/*-linux-musl/musl-gcc.specs)
if(KNARR_MUSL_SPECS AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_C_COMPILER_ID STREQUAL "GNU")
  list(GET KNARR_MUSL_SPECS 0 KNARR_MUSL_SPECS)
  target_compile_options(knarr-shim PRIVATE -specs=${KNARR_MUSL_SPECS})
  target_link_options(knarr-shim PRIVATE -specs=${KNARR_MUSL_SPECS})
endif()
if(TARGET knarr_runtime_test)
  add_dependencies(knarr_runtime_test knarr-shim)
endif()
