#include "proxy/io/search_list.h"

#include <algorithm>
#include <fstream>

#include "proxy/base/str.h"

namespace pillion::io {
namespace {

constexpr size_t kMaxHostsBytes = 1 << 20;

std::string_view without_dot(std::string_view name) noexcept {
  if (name.ends_with('.')) name.remove_suffix(1);
  return name;
}

// Cuts the next word off the line; empty at its end.
std::string_view next_word(std::string_view& line) noexcept {
  constexpr std::string_view kBlanks = " \t\r";
  line.remove_prefix(std::min(line.find_first_not_of(kBlanks), line.size()));
  const std::string_view word = line.substr(0, line.find_first_of(kBlanks));
  line.remove_prefix(word.size());
  return word;
}

}  // namespace

std::vector<std::string> search_list(std::string_view name, uint32_t ndots,
                                     const std::vector<std::string>& domains) {
  const std::string bare(without_dot(name));
  if (name.ends_with('.')) return {bare};
  const bool as_is_first = std::ranges::count(name, '.') >= static_cast<int64_t>(ndots);
  std::vector<std::string> names;
  if (as_is_first) names.push_back(bare);
  for (const std::string& domain : domains) {
    // "." as a search domain is the root.
    const std::string_view suffix = without_dot(domain);
    std::string full = suffix.empty() ? bare : str(bare, '.', suffix);
    if (std::ranges::find(names, full) == names.end()) names.push_back(std::move(full));
  }
  if (std::ranges::find(names, bare) == names.end()) names.push_back(bare);
  return names;
}

std::vector<Address> find_in_hosts(const std::string& path, std::string_view name) {
  std::vector<Address> found;
  const std::string_view wanted = without_dot(name);
  std::ifstream file(path);
  std::string text;
  for (size_t bytes = 0; bytes < kMaxHostsBytes && std::getline(file, text);
       bytes += text.size() + 1) {
    std::string_view line(text);
    line = line.substr(0, line.find('#'));
    const std::string_view ip = next_word(line);
    for (std::string_view alias = next_word(line); !alias.empty(); alias = next_word(line)) {
      if (!equals_ignore_case(alias, wanted)) continue;
      const Result<Address> address = Address::parse_ip(ip, 0);
      if (address && std::ranges::find(found, *address) == found.end()) found.push_back(*address);
      break;
    }
  }
  return found;
}

bool is_localhost(std::string_view name) noexcept {
  constexpr std::string_view kName = "localhost";
  name = without_dot(name);
  if (equals_ignore_case(name, kName)) return true;
  return name.size() > kName.size() && name[name.size() - kName.size() - 1] == '.' &&
         equals_ignore_case(name.substr(name.size() - kName.size()), kName);
}

}  // namespace pillion::io
