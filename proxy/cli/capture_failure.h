#pragma once
// What nft and iptables say when they fail, as one line that names the likely cause.

#include <string>
#include <string_view>

namespace pillion::cli {

// `program` is the tool that failed, `output` all it wrote.  Pure.
std::string explain_capture_failure(std::string_view program, std::string_view output);

}  // namespace pillion::cli
