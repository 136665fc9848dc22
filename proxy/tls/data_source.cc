#include "proxy/tls/data_source.h"

#include <limits.h>
#include <openssl/base64.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>

#include "proxy/base/file.h"
#include "proxy/base/result.h"
#include "proxy/base/str.h"
#include "proxy/config/config_source.h"
#include "proxy/config/suggest.h"

namespace pillion::tls {
namespace {

constexpr size_t kMaxBytes = 8 << 20;
constexpr size_t kLongestName = 240;  // of a file, in a message

// A key that somebody pasted where the name of a file belongs: base64 of 30 bytes or more, in one
// line or several; or what is too long for a name.
bool may_be_secret(std::string_view name) {
  constexpr size_t kShortest = 40;
  if (name.size() >= PATH_MAX) return true;
  bool has_upper = false, has_lower = false, has_digit = false;
  for (const char c : name) {
    const bool is_upper = c >= 'A' && c <= 'Z', is_lower = c >= 'a' && c <= 'z';
    const bool is_digit = c >= '0' && c <= '9';
    if (!is_upper && !is_lower && !is_digit && std::string_view("+/= \r\n").find(c) == name.npos)
      return false;
    has_upper |= is_upper;
    has_lower |= is_lower;
    has_digit |= is_digit;
  }
  return name.size() >= kShortest && has_upper && has_lower && has_digit;
}
constexpr std::string_view kNotShown = "a name that is not shown (is it a secret, and no name?)";

bool is_pem(std::string_view text) { return text.find("-----BEGIN") != std::string_view::npos; }

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

Result<std::string> read_file(const std::string& name) {
  return read_regular_file(name, kMaxBytes);
}

void note_file(const config::Node& source) {
  const config::Node file = source["filename"];
  const bool is_name = !is_pem(file.raw()) && (!may_be_secret(file.raw()) ||
                                               ::access(file.as_string_or("").c_str(), F_OK) == 0);
  if (file.is_present() && is_name) source.errors()->note_file(*file.value(), file.as_string(), 0);
}

DataText read_data_source(const config::Node& node, FileUse use) {
  DataText out;
  if (node.is_missing()) return out;
  const config::Node source =
      node.one_of({"filename", "inline_bytes", "inline_string", "environment_variable"});
  // The directories of the file, and of each symlink on the way to it, are watched in any case.
  config::check_watched_directory(node["watched_directory"]);
  node.reject_unknown_keys(config::Unknown::kAlwaysError);
  if (source.is_missing()) return out;
  const std::string value = source.as_string();
  if (value.empty()) return out;
  const auto is = [&source](std::string_view snake, std::string_view camel) {
    return source.key() == snake || source.key() == camel;
  };
  Result<std::string> text = Error{std::string()};
  if (source.key() == "filename") {
    text = read_file(value);
    const bool is_pasted = is_pem(value);
    const bool is_shown = text || !may_be_secret(value);
    out.source = is_shown ? value : std::string(kNotShown);
    // What is noted as a name is told as one.
    if (!is_pasted && is_shown && (!text || use == FileUse::kPart))
      source.errors()->note_file(*source.value(), value,
                                 text ? std::hash<std::string>{}(*text) : uint64_t{0});
    if (is_pasted) {
      source.error("expected the name of a file, got PEM: use inline_string");
    } else if (!text) {
      report_unreadable(
          source, str("cannot read ", is_shown ? with_absolute_name(value) : str(kNotShown), ": ",
                      text.error()));
    }
  } else if (is("environment_variable", "environmentVariable")) {
    out.source = str("$", value);
    if (const char* set = std::getenv(value.c_str())) {
      text = std::string(set);
    } else {
      if (may_be_secret(value)) out.source = kNotShown;
      source.error(str("the environment has no variable ",
                       may_be_secret(value) ? str(kNotShown) : config::printable(value)));
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
