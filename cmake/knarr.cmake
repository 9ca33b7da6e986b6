# One folder of src/ is one library, and one test program beside it.

add_library(knarr_flags INTERFACE)
target_compile_options(knarr_flags INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Werror -Wno-missing-field-initializers -fno-strict-aliasing)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # g++ 12 reports these wrongly for std::expected and std::string (GCC bugs 105562, 105651, 107852).
  target_compile_options(knarr_flags INTERFACE
    $<$<COMPILE_LANGUAGE:CXX>:-Wno-maybe-uninitialized;-Wno-restrict;-Wno-array-bounds;-Wno-stringop-overflow;-Wno-dangling-pointer>)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  # TRY is a statement expression on purpose (see docs/decisions/0001-errors.md).
  # std::stable_sort of libstdc++ 12 calls its own deprecated std::get_temporary_buffer, and clang blames the caller.
  target_compile_options(knarr_flags INTERFACE -Wno-gnu-statement-expression -Wno-deprecated-declarations)
endif()
# Nothing here throws or catches, and what libraries throw ends the program with or without this: the code that would
# clean up on the way is left out, an eighth of the program.
target_compile_options(knarr_flags INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-fno-exceptions>)
target_include_directories(knarr_flags INTERFACE ${CMAKE_SOURCE_DIR}/src ${CMAKE_BINARY_DIR}/generated)
target_compile_definitions(knarr_flags INTERFACE KNARR_VERSION="${PROJECT_VERSION}")
if(KNARR_SANITIZE)
  target_compile_options(knarr_flags INTERFACE -fsanitize=${KNARR_SANITIZE} -fno-sanitize-recover=all)
  target_link_options(knarr_flags INTERFACE -fsanitize=${KNARR_SANITIZE})
endif()
if(KNARR_FUZZ)
  target_compile_options(knarr_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
# Relative relocations packed (a tenth of the program otherwise). GNU ld writes them as the C library asks; mold 1.10
# leaves out the version the loader wants to see.
include(CheckLinkerFlag)
check_linker_flag(CXX "-fuse-ld=bfd;-Wl,-z,pack-relative-relocs" KNARR_PACKED_RELOCATIONS)
find_program(MOLD mold)
if(MOLD)
  target_link_options(knarr_flags INTERFACE $<$<NOT:$<BOOL:$<TARGET_PROPERTY:KNARR_GNU_LD>>>:-fuse-ld=mold>)
endif()
target_link_options(knarr_flags INTERFACE -Wl,--gc-sections)
target_compile_options(knarr_flags INTERFACE -ffunction-sections -fdata-sections)

# knarr_static(<variable> <name>…): the static archive of a distribution library where there is one, so that the
# program is one file that runs without installing anything; the shared library otherwise.
function(knarr_static out)
  set(found)
  foreach(name ${ARGN})
    find_library(KNARR_LIB_${name} NAMES lib${name}.a ${name} REQUIRED)
    list(APPEND found ${KNARR_LIB_${name}})
  endforeach()
  set(${out} ${found} PARENT_SCOPE)
endfunction()

# Code that runs seldom, or waits for something slower, is made small rather than fast: about 40 % smaller with g++.
set(KNARR_SMALL $<$<CONFIG:Release>:-Os>)

# knarr_library(<folder> [SMALL] [DEPS <folder>…] [LIBS <library>…]): the library knarr_<folder> from every .cc in the
# folder (and its subfolders) that is not a test, and the GoogleTest program knarr_<folder>_test from those that are.
function(knarr_library folder)
  cmake_parse_arguments(ARG "SMALL" "" "DEPS;LIBS;SOURCES;TEST_DEPS" ${ARGN})
  file(GLOB_RECURSE all CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${folder}/*.cc)
  set(sources ${all})
  list(FILTER sources EXCLUDE REGEX "(_test|_main|_bench)\\.cc$")
  set(tests ${all})
  list(FILTER tests INCLUDE REGEX "_test\\.cc$")
  if(NOT sources AND NOT ARG_SOURCES)
    return()
  endif()
  add_library(knarr_${folder} STATIC ${sources} ${ARG_SOURCES})
  target_link_libraries(knarr_${folder} PUBLIC knarr_flags)
  if(ARG_SMALL)
    target_compile_options(knarr_${folder} PRIVATE ${KNARR_SMALL})
  endif()
  foreach(dep ${ARG_DEPS})
    target_link_libraries(knarr_${folder} PUBLIC knarr_${dep})
  endforeach()
  target_link_libraries(knarr_${folder} PRIVATE ${ARG_LIBS})
  if(KNARR_TESTS AND tests)
    find_package(GTest REQUIRED)
    add_executable(knarr_${folder}_test ${tests})
    target_link_libraries(knarr_${folder}_test PRIVATE knarr_${folder} GTest::gtest GTest::gtest_main)
    foreach(dep ${ARG_TEST_DEPS})
      target_link_libraries(knarr_${folder}_test PRIVATE knarr_${dep})
    endforeach()
    target_compile_definitions(knarr_${folder}_test PRIVATE KNARR_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
    add_test(NAME ${folder} COMMAND knarr_${folder}_test WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
  endif()
endfunction()
