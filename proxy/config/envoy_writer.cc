#include "proxy/config/envoy_writer.h"

namespace pillion::config {

void EnvoyWriter::address(std::string_view key, const AddressText& value) {
  message(key, [&] {
    if (value.kind == AddressText::Kind::kUnix) {
      message("pipe", [&] { text("path", value.host); });
      return;
    }
    message("socket_address", [&] {
      text("address", value.host);
      number("port_value", value.port);
    });
  });
}

}  // namespace pillion::config
