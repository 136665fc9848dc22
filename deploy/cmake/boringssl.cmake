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

# boringssl_fetch(<variable>): the folder of cargo's copy.  Without a network when it is here already.
function(boringssl_fetch variable)
  find_program(PILLION_CARGO cargo)
  if(NOT PILLION_CARGO)
    message(FATAL_ERROR "no cargo to fetch BoringSSL with: install cargo-web, or give -DPILLION_BORINGSSL_SOURCE=DIR")
  endif()
  set(pin ${CMAKE_SOURCE_DIR}/deploy/boringssl)
  execute_process(COMMAND ${PILLION_CARGO} fetch --locked --offline WORKING_DIRECTORY ${pin}
    RESULT_VARIABLE failed OUTPUT_QUIET ERROR_QUIET)
  if(failed)
    message(STATUS "fetching BoringSSL's source (crate boring-sys)")
    execute_process(COMMAND ${PILLION_CARGO} fetch --locked WORKING_DIRECTORY ${pin}
      RESULT_VARIABLE failed OUTPUT_QUIET ERROR_VARIABLE why)
  endif()
  if(failed)
    string(REGEX REPLACE "[ \n]+" " " why "${why}")
    message(FATAL_ERROR "cargo could not fetch BoringSSL: ${why}")
  endif()
  execute_process(COMMAND ${PILLION_CARGO} metadata --locked --offline --format-version 1 WORKING_DIRECTORY ${pin}
    OUTPUT_VARIABLE metadata ERROR_QUIET)
  if(NOT metadata MATCHES "\"manifest_path\":\"([^\"]*/boring-sys-[0-9.]+)/Cargo.toml\"")
    message(FATAL_ERROR "cargo metadata does not say where boring-sys is: is ${PILLION_CARGO} older than 1.78?")
  endif()
  set(${variable} "${CMAKE_MATCH_1}/deps/boringssl" PARENT_SCOPE)
endfunction()

set(boringssl_source ${PILLION_BORINGSSL_SOURCE})
if(NOT boringssl_source)
  boringssl_fetch(boringssl_source)
endif()
if(NOT EXISTS ${boringssl_source}/CMakeLists.txt)
  message(FATAL_ERROR "no BoringSSL source in '${boringssl_source}'")
endif()

# One build serves all presets and compilers of a machine (its interface is C): the first that comes makes it.
string(MD5 boringssl_key "${boringssl_source} ${CMAKE_SYSTEM_PROCESSOR} v2")
set(boringssl_build ${PILLION_CACHE}/boringssl-${boringssl_key})

# boringssl_step(<what> <command...>): its output is seen only when it fails.
function(boringssl_step what)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE failed OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(failed)
    message(FATAL_ERROR "${what} BoringSSL failed:\n${output}")
  endif()
endfunction()

file(MAKE_DIRECTORY ${boringssl_build})
file(LOCK ${boringssl_build}/lock TIMEOUT 1200)
if(NOT EXISTS ${boringssl_build}/done)
  message(STATUS "building BoringSSL once into ${boringssl_build} (1-2 minutes)")
  boringssl_step(configuring ${CMAKE_COMMAND} -G Ninja -S ${boringssl_source} -B ${boringssl_build}
    -DCMAKE_BUILD_TYPE=Release -DCMAKE_C_COMPILER=${CMAKE_C_COMPILER} -DCMAKE_CXX_COMPILER=${CMAKE_CXX_COMPILER}
    -DCMAKE_POSITION_INDEPENDENT_CODE=ON -DBUILD_TESTING=OFF -DCMAKE_CXX_FLAGS=-fno-omit-frame-pointer
    -DCMAKE_C_COMPILER_LAUNCHER=${CMAKE_C_COMPILER_LAUNCHER} -DCMAKE_CXX_COMPILER_LAUNCHER=${CMAKE_CXX_COMPILER_LAUNCHER})
  boringssl_step(building ${CMAKE_COMMAND} --build ${boringssl_build} --target crypto ssl)
  file(WRITE ${boringssl_build}/done "")
endif()
file(LOCK ${boringssl_build}/lock RELEASE)
add_library(pillion_boringssl INTERFACE)
target_include_directories(pillion_boringssl SYSTEM INTERFACE ${boringssl_source}/include)
target_link_libraries(pillion_boringssl INTERFACE ${boringssl_build}/libssl.a ${boringssl_build}/libcrypto.a)
