# How targets are made here: one small library a floor, one test program a floor.
# Files are found by pattern, so that adding a device means adding a file.

add_library(strata_options INTERFACE)
target_include_directories(strata_options INTERFACE ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR}/include)
target_compile_options(strata_options INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion -Wnon-virtual-dtor -Wold-style-cast
  -Werror
  $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>) # GCC 12 misreads std::string's operator+ (its bug 105651)
if(STRATA_SANITIZE)
  target_compile_options(strata_options INTERFACE
    -fsanitize=${STRATA_SANITIZE} -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
  target_link_options(strata_options INTERFACE -fsanitize=${STRATA_SANITIZE})
  if(STRATA_SANITIZE MATCHES undefined)
    # It asks the kernel what memory is there, by system calls that a confined machine may not make.
    target_compile_options(strata_options INTERFACE -fno-sanitize=vptr)
  endif()
  if(STRATA_SANITIZE MATCHES thread AND CMAKE_CXX_COMPILER_ID STREQUAL GNU)
    # It does not see fences, and says so at each: a race that it reports may be one that a fence excludes.
    target_compile_options(strata_options INTERFACE -Wno-tsan)
  endif()
endif()
if(STRATA_FUZZ)
  target_compile_options(strata_options INTERFACE -fsanitize=fuzzer-no-link)
endif()

# strata_library(NAME [DEPENDS target...]): a library of all .cpp files in and below this folder.
function(strata_library name)
  cmake_parse_arguments(ARG "" "" "DEPENDS;EXCLUDE" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cpp)
  foreach(pattern ${ARG_EXCLUDE})
    list(FILTER sources EXCLUDE REGEX ${pattern})
  endforeach()
  if(sources)
    add_library(${name} STATIC ${sources})
    target_link_libraries(${name} PUBLIC strata_options ${ARG_DEPENDS})
  else()
    add_library(${name} INTERFACE)
    target_link_libraries(${name} INTERFACE strata_options ${ARG_DEPENDS})
  endif()
endfunction()

# strata_test(NAME DEPENDS target...): a GoogleTest program of all .cpp files in this folder.
function(strata_test name)
  cmake_parse_arguments(ARG "" "" "DEPENDS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cpp)
  if(sources)
    add_executable(${name} ${sources})
    target_link_libraries(${name} PRIVATE ${ARG_DEPENDS} GTest::gtest_main GTest::gmock)
    gtest_discover_tests(${name} DISCOVERY_MODE PRE_TEST)
  endif()
endfunction()

# strata_lean_program(NAME SOURCES source... FLOORS target... [LIBRARIES library...]): a program that starts for each
# container, or for each command, so that as little of it as may be is the loader's work and its own memory. What is linked
# statically needs hardly any relocations by the loader; Debian has {fmt}, libmnl and Zydis as shared libraries only, so
# {fmt}'s few compiled parts are built here. FLOORS are all that it stands on, in any order; LIBRARIES are names of static
# libraries (zstd), or targets. Sanitizers need the shared libraries.
function(strata_lean_program name)
  cmake_parse_arguments(ARG "" "" "SOURCES;FLOORS;LIBRARIES" ${ARGN})
  if(STRATA_SANITIZE)
    add_executable(${name} ${ARG_SOURCES})
    target_link_libraries(${name} PRIVATE ${ARG_FLOORS})
    return()
  endif()
  add_executable(${name} ${ARG_SOURCES} ${CMAKE_SOURCE_DIR}/src/oci/fmt.cpp)
  add_dependencies(${name} ${ARG_FLOORS})
  set(libraries)
  foreach(library ${ARG_LIBRARIES})
    if(TARGET ${library})
      list(APPEND libraries ${library})
    else()
      list(APPEND libraries -l:lib${library}.a)
    endif()
  endforeach()
  list(TRANSFORM ARG_FLOORS REPLACE "(.+)" "$<TARGET_FILE:\\1>")
  # Sections that nothing uses go, and with them what only they need: libxml2, of libarchive.
  target_link_libraries(${name} PRIVATE strata_options -Wl,--start-group ${ARG_FLOORS} -Wl,--end-group ${libraries})
  target_link_options(${name} PRIVATE -static-libstdc++ -static-libgcc -Wl,--as-needed,--gc-sections)
endfunction()
