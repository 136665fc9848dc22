# Debian's packages (deploy/packages.txt).  Static archives where Debian ships them: fewer pages of
# shared libraries to relocate, a smaller process.
find_package(Threads REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(spdlog REQUIRED)
find_package(CLI11 REQUIRED)

# pillion_archive(<target> <archive> <further libraries...>): lib<archive>.a if there is one.
function(pillion_archive target archive)
  find_library(PILLION_LIB_${archive} NAMES lib${archive}.a ${archive})
  if(NOT PILLION_LIB_${archive})
    message(FATAL_ERROR "lib${archive} not found: install the [build] packages of deploy/packages.txt")
  endif()
  add_library(${target} INTERFACE)
  target_link_libraries(${target} INTERFACE ${PILLION_LIB_${archive}} ${ARGN})
endfunction()

find_library(PILLION_LIB_uv NAMES libuv_a.a libuv.a uv)
add_library(pillion_uv INTERFACE)
target_link_libraries(pillion_uv INTERFACE ${PILLION_LIB_uv} Threads::Threads dl)
pillion_archive(pillion_cares cares)
pillion_archive(pillion_yaml_cpp yaml-cpp)
pillion_archive(pillion_re2 re2 Threads::Threads)
pillion_archive(pillion_prometheus prometheus-cpp-core)
pillion_archive(pillion_nghttp2 nghttp2)
pillion_archive(pillion_protobuf protobuf Threads::Threads)
