// Any bytes as the first ones of a connection, to the inspectors of TLS and HTTP.
//
// A verdict never changes when more bytes come, and what was told of a ClientHello stays; the views
// lie within the scratch block.
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <string_view>
#include <vector>

#include "proxy/core/client_hello.h"

using namespace pillion::core;

namespace {

void require(bool what) {
  if (!what) std::abort();
}

bool lies_in(std::string_view view, const std::vector<char>& block) {
  const std::less_equal<const char*> no_later;
  return view.empty() || (no_later(block.data(), view.data()) &&
                          no_later(view.data() + view.size(), block.data() + block.size()));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  std::vector<char> scratch;
  std::vector<char> scratch_of_part;
  ClientHello whole;
  const Sniff verdict = sniff_tls(bytes, scratch, whole);
  require(verdict == Sniff::kNeedMore || verdict == Sniff::kTls || verdict == Sniff::kOther);
  if (verdict == Sniff::kTls) {
    require(lies_in(whole.server_name, scratch));
    for (const std::string_view name : whole.alpn) require(lies_in(name, scratch));
  }
  // Parts: some at the start, and some spread over the rest.
  for (size_t n = 0; n < size; n += n < 16 ? 1 : 1 + size / 13) {
    ClientHello part;
    const Sniff before = sniff_tls(bytes.substr(0, n), scratch_of_part, part);
    if (before == Sniff::kNeedMore) continue;
    require(before == verdict);
    if (before != Sniff::kTls) continue;
    require(part.server_name == whole.server_name);
    require(part.alpn == whole.alpn);
  }
  const Sniff http = sniff_http(bytes);
  for (size_t n = 0; n < size && n < 64; ++n) {
    const Sniff before = sniff_http(bytes.substr(0, n));
    require(before == Sniff::kNeedMore || before == http);
  }
  return 0;
}
