# xds/proto/*.proto -> one descriptor set, embedded in pillion_xds_proto.  Sources of info about places
# and comments are left out: names, numbers and types are all that reflection needs.
find_program(PILLION_PROTOC protoc)
if(NOT PILLION_PROTOC)
  message(FATAL_ERROR "protoc not found: install the [build] packages of deploy/packages.txt")
endif()
file(GLOB pillion_protos CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/xds/proto/*.proto)
set(pillion_set ${CMAKE_BINARY_DIR}/descriptor_set)
add_custom_command(OUTPUT ${pillion_set}.cc
  COMMAND ${PILLION_PROTOC} -I${CMAKE_SOURCE_DIR}/xds/proto --include_imports -o ${pillion_set}.bin ${pillion_protos}
  COMMAND ${CMAKE_COMMAND} -DIN=${pillion_set}.bin -DOUT=${pillion_set}.cc -P ${CMAKE_SOURCE_DIR}/deploy/cmake/embed.cmake
  DEPENDS ${pillion_protos} ${CMAKE_SOURCE_DIR}/deploy/cmake/embed.cmake VERBATIM)
target_sources(pillion_xds_proto PRIVATE ${pillion_set}.cc)
