# cmake -DIN=<file> -DOUT=<source> -P embed.cmake: a file as the string that descriptor_set() returns.
file(READ ${IN} bytes HEX)
string(REGEX REPLACE "(..)" "\\\\x\\1" text "${bytes}")
file(WRITE ${OUT} "#include \"xds/proto/descriptor_set.h\"

namespace pillion::xds {

std::string_view descriptor_set() {
  static constexpr char kBytes[] = \"${text}\";
  return {kBytes, sizeof kBytes - 1};
}

}  // namespace pillion::xds
")
