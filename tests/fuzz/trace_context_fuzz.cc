// The fields of a trace, as a peer may send them: lines "name: value".  Whatever they are, the
// context that is read is one that we could write, and reading what was written gives it back.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "proxy/telemetry/sampling.h"

using namespace pillion;
using namespace pillion::telemetry;

namespace {

void fill(http::Headers& headers, std::string_view text) {
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const size_t colon = line.find(": ");
    if (colon != std::string_view::npos)
      headers.add_copy(line.substr(0, colon), line.substr(colon + 2));
  }
}

void check(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  Arena arena;
  http::RequestHead head(arena);
  fill(head.headers, text);
  const TraceContext context = read_trace_context(head.headers);
  check(!context.malformed || !context.has_parent());
  check(context.has_parent() == (context.span != 0));
  Rng rng(size);
  (void)decide_trace(head, context, {}, {}, rng);
  (void)is_valid_tracestate(text);
  if (!context.has_parent()) return 0;
  http::Headers& written = head.headers;
  const bool sampled = context.sampled == Sampled::kYes;
  write_trace_context(written,
                      {context.trace, context.span, 1, sampled, context.debug, context.random});
  if (context.form != TraceForm::kW3c) written.remove(http::HeaderId::kTraceparent);
  const TraceContext again = read_trace_context(written);
  // A b3 that was malformed is none any more.
  check(again.form == context.form || written.has(http::HeaderId::kB3));
  check(again.trace == context.trace && again.span == context.span);
  check(again.sampled == (sampled ? Sampled::kYes : Sampled::kNo));
  check(again.random == context.random && again.debug == (context.debug && sampled));
  return 0;
}
