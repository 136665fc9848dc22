// Any text as a configuration: loaded, expanded if it is short mesh YAML, printed, and read again.
// What the loader accepts must print as the same text twice, and nothing may crash or run away.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "proxy/config/expand.h"
#include "proxy/config/node.h"
#include "proxy/config/yaml_print.h"

using namespace pillion::config;

namespace {

// Every typed accessor on every value: none may misbehave, whatever the text is.
void read_everything(const Node& node) {
  (void)node.as_bool_or(false);
  (void)node.as_u32_or(0);
  (void)node.as_i64_or(0);
  (void)node.as_double_or(0);
  (void)node.as_duration_or(std::chrono::seconds(0));
  (void)node.as_size_or(0);
  (void)node.as_fraction_or({});
  (void)parse_address(node.raw());
  if (node.is_sequence()) {
    for (Node item : node.items()) read_everything(item);
  }
  if (node.is_mapping()) {
    for (auto [key, value] : node.entries()) read_everything(value);
  }
}

void check_round_trip(const Document& document) {
  for (const ScalarStyle style : {ScalarStyle::kAsNeeded, ScalarStyle::kAsWritten}) {
    const std::string printed = print_yaml(document, style);
    Errors errors;
    const DocumentPtr again = load_text(printed, "printed", errors);
    if (again == nullptr || print_yaml(*again, style) != printed) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  LoadLimits limits;
  limits.max_values = 20'000;
  limits.max_alias_values = 5'000;
  Errors errors;
  const DocumentPtr document =
      load_text({reinterpret_cast<const char*>(data), size}, "fuzz", errors, limits);
  if (document == nullptr) {
    if (errors.ok()) std::abort();  // refused without a reason
    return 0;
  }
  if (errors.ok()) check_round_trip(*document);
  read_everything(document->root(errors));
  if (is_short_form(*document)) check_round_trip(*expand(document, errors));
  (void)errors.to_string();
  (void)merge(document, document);
  return 0;
}
