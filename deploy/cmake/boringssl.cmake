# BoringSSL from the crate boring-sys (pinned by deploy/boringssl/Cargo.lock), built once per compiler
# into a cache that outlives the build tree.  -DPILLION_BORINGSSL_SOURCE=DIR takes another tree.
set(PILLION_BORINGSSL_SOURCE "" CACHE PATH "a BoringSSL source tree of your own")
set(PILLION_CACHE "$ENV{PILLION_CACHE}" CACHE PATH "where third-party builds are kept")
if(NOT PILLION_CACHE)
  if(DEFINED ENV{XDG_CACHE_HOME})
    set(PILLION_CACHE "$ENV{XDG_CACHE_HOME}/pillion")
  else()
    set(PILLION_CACHE "$ENV{HOME}/.cache/pillion")
  endif()
endif()

set(boringssl_source ${PILLION_BORINGSSL_SOURCE})
if(NOT boringssl_source)
  find_program(PILLION_CARGO NAMES cargo cargo-web REQUIRED)
  execute_process(COMMAND ${PILLION_CARGO} fetch --locked WORKING_DIRECTORY ${CMAKE_SOURCE_DIR}/deploy/boringssl
    COMMAND_ERROR_IS_FATAL ANY)
  execute_process(COMMAND ${PILLION_CARGO} metadata --locked --format-version 1
    WORKING_DIRECTORY ${CMAKE_SOURCE_DIR}/deploy/boringssl OUTPUT_VARIABLE metadata COMMAND_ERROR_IS_FATAL ANY)
  string(REGEX MATCH "\"manifest_path\":\"([^\"]*/boring-sys-[0-9.]+)/Cargo.toml\"" found "${metadata}")
  set(boringssl_source "${CMAKE_MATCH_1}/deps/boringssl")
endif()
if(NOT EXISTS ${boringssl_source}/CMakeLists.txt)
  message(FATAL_ERROR "no BoringSSL source in '${boringssl_source}'")
endif()

string(MD5 boringssl_key "${boringssl_source} ${CMAKE_CXX_COMPILER} ${CMAKE_CXX_COMPILER_VERSION} v1")
set(boringssl_build ${PILLION_CACHE}/boringssl-${boringssl_key})
if(NOT EXISTS ${boringssl_build}/done)
  message(STATUS "building BoringSSL once into ${boringssl_build} (1-2 minutes)")
  execute_process(COMMAND ${CMAKE_COMMAND} -G Ninja -S ${boringssl_source} -B ${boringssl_build}
    -DCMAKE_BUILD_TYPE=Release -DCMAKE_C_COMPILER=${CMAKE_C_COMPILER} -DCMAKE_CXX_COMPILER=${CMAKE_CXX_COMPILER}
    -DCMAKE_POSITION_INDEPENDENT_CODE=ON -DBUILD_TESTING=OFF -DCMAKE_CXX_FLAGS=-fno-omit-frame-pointer
    -DCMAKE_C_COMPILER_LAUNCHER=${CMAKE_C_COMPILER_LAUNCHER} -DCMAKE_CXX_COMPILER_LAUNCHER=${CMAKE_CXX_COMPILER_LAUNCHER}
    OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY)
  execute_process(COMMAND ninja -C ${boringssl_build} crypto ssl OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY)
  file(WRITE ${boringssl_build}/done "")
endif()
add_library(pillion_boringssl INTERFACE)
target_include_directories(pillion_boringssl SYSTEM INTERFACE ${boringssl_source}/include)
target_link_libraries(pillion_boringssl INTERFACE ${boringssl_build}/libssl.a ${boringssl_build}/libcrypto.a)
