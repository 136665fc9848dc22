#include "proxy/tls/data_source.h"

#include <openssl/base64.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>

#include "proxy/base/result.h"
#include "proxy/base/str.h"
#include "proxy/config/suggest.h"

namespace pillion::tls {
namespace {

constexpr off_t kMaxBytes = 8 << 20;
constexpr size_t kLongestName = 240;  // of a file, in a message

Result<std::string> read_file(const std::string& name) {
  struct stat info{};
  if (::stat(name.c_str(), &info) != 0) return Error{std::string(std::strerror(errno))};
  if (!S_ISREG(info.st_mode)) return Error{"not a regular file"};
  if (info.st_size > kMaxBytes) return Error{"larger than 8 MiB"};
  std::ifstream in(name, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  if (!in) return Error{std::string(std::strerror(errno))};
  return text.str();
}

// Relative names are relative to the working directory, which the reader of a message may not know.
std::string with_absolute_name(const std::string& name) {
  std::error_code unknown;
  const std::string tried = std::filesystem::absolute(name, unknown).string();
  const std::string shown = config::printable(name, kLongestName);
  return unknown || tried == name ? shown
                                  : str(shown, " (", config::printable(tried, kLongestName), ')');
}

Result<std::string> decode_base64(std::string_view text) {
  size_t size = 0;
  if (!EVP_DecodedLength(&size, text.size())) return Error{"no base64"};
  std::string out(size, '\0');
  if (!EVP_DecodeBase64(reinterpret_cast<uint8_t*>(out.data()), &size, size,
                        reinterpret_cast<const uint8_t*>(text.data()), text.size())) {
    return Error{"no base64"};
  }
  out.resize(size);
  return out;
}

void report_unreadable(const config::Node& source, std::string text) {
  using config::UnreadableFiles;
  const bool is_tolerated = source.errors()->unreadable_files_policy() == UnreadableFiles::kWarn;
  is_tolerated ? source.warn(std::move(text)) : source.error(std::move(text));
}

}  // namespace

DataText read_data_source(const config::Node& node) {
  DataText out;
  if (node.is_missing()) return out;
  const config::Node source =
      node.one_of({"filename", "inline_bytes", "inline_string", "environment_variable"});
  // A directory to watch instead of the file itself: rotation comes with a later version.
  node.unsupported({"watched_directory"}, "the file itself is watched",
                   config::Unknown::kAlwaysError);
  node.reject_unknown_keys(config::Unknown::kAlwaysError);
  if (source.is_missing()) return out;
  const std::string value = source.as_string();
  if (value.empty()) return out;
  const auto is = [&source](std::string_view snake, std::string_view camel) {
    return source.key() == snake || source.key() == camel;
  };
  Result<std::string> text = Error{std::string()};
  if (source.key() == "filename") {
    out.source = value;
    text = read_file(value);
    source.errors()->note_file(*source.value(), value,
                               text ? std::hash<std::string>{}(*text) : uint64_t{0});
    const bool is_pasted = value.find("-----BEGIN") != std::string::npos;
    if (is_pasted) {
      source.error("expected the name of a file, got PEM: use inline_string");
    } else if (!text) {
      report_unreadable(source, str("cannot read ", with_absolute_name(value), ": ", text.error()));
    }
  } else if (is("environment_variable", "environmentVariable")) {
    out.source = str("$", value);
    if (const char* set = std::getenv(value.c_str())) {
      text = std::string(set);
    } else {
      source.error(str("the environment has no variable ", config::printable(value)));
    }
  } else {
    out.source = "<inline>";
    text = is("inline_bytes", "inlineBytes") ? decode_base64(value) : Result<std::string>(value);
    // Not the value: it may be a key that somebody pasted as it is.
    if (!text) source.error("expected base64");
  }
  if (text) out.text = std::move(*text);
  // A file cut short, or a secret that has not arrived: nothing may pass for "not configured".
  if (text && out.text.empty())
    source.error(str(config::printable(out.source, kLongestName), " is empty"));
  return out;
}

}  // namespace pillion::tls
