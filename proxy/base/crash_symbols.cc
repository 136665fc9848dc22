#include "proxy/base/crash_symbols.h"

#include <elf.h>

#include <cstring>

namespace pillion::crash {

template <typename T>
bool ElfSymbols::read(uint64_t at, T& out) const noexcept {
  if (at > image_.size() || image_.size() - at < sizeof(T)) return false;
  std::memcpy(&out, image_.data() + at, sizeof(T));
  return true;
}

std::string_view ElfSymbols::text_at(uint64_t at) const noexcept {
  if (at >= image_.size()) return {};
  const char* text = reinterpret_cast<const char*>(image_.data()) + at;
  return {text, ::strnlen(text, image_.size() - at)};
}

Symbol ElfSymbols::find(uint64_t address) const noexcept {
  Elf64_Ehdr header;
  if (!read(0, header) || std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) return {};
  if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_shentsize != sizeof(Elf64_Shdr)) return {};
  Symbol best;
  for (uint64_t i = 0; i < header.e_shnum; ++i) {
    Elf64_Shdr section;
    Elf64_Shdr names;
    if (!read(header.e_shoff + i * sizeof section, section)) return best;
    if (section.sh_type != SHT_SYMTAB && section.sh_type != SHT_DYNSYM) continue;
    if (!read(header.e_shoff + uint64_t{section.sh_link} * sizeof names, names)) continue;
    for (uint64_t at = 0; at + sizeof(Elf64_Sym) <= section.sh_size; at += sizeof(Elf64_Sym)) {
      Elf64_Sym symbol;
      if (!read(section.sh_offset + at, symbol)) break;
      if (ELF64_ST_TYPE(symbol.st_info) != STT_FUNC) continue;
      if (address < symbol.st_value || address - symbol.st_value >= symbol.st_size) continue;
      best = {text_at(names.sh_offset + symbol.st_name), address - symbol.st_value};
      return best;
    }
  }
  return best;
}

namespace {

// Writes into a fixed buffer; what does not fit marks it as failed.
class Cursor {
 public:
  explicit Cursor(std::span<char> to) noexcept : to_(to) {}
  void put(std::string_view text) noexcept {
    if (text.size() > to_.size() - used_) {
      failed_ = true;
      return;
    }
    std::memcpy(to_.data() + used_, text.data(), text.size());
    used_ += text.size();
  }
  [[nodiscard]] bool failed() const noexcept { return failed_; }
  [[nodiscard]] std::string_view text() const noexcept { return {to_.data(), used_}; }

 private:
  std::span<char> to_;
  size_t used_ = 0;
  bool failed_ = false;
};

// <source-name>: a length and that many characters.  Empty if there is none.
std::string_view take_name(std::string_view& rest) noexcept {
  size_t length = 0;
  size_t digits = 0;
  while (digits < rest.size() && rest[digits] >= '0' && rest[digits] <= '9' && digits < 5) {
    length = length * 10 + static_cast<size_t>(rest[digits++] - '0');
  }
  if (digits == 0 || length > rest.size() - digits) return {};
  const std::string_view name = rest.substr(digits, length);
  rest.remove_prefix(digits + length);
  return name;
}

bool starts_with_digit(std::string_view text) {
  return !text.empty() && text[0] >= '0' && text[0] <= '9';
}

}  // namespace

std::string_view readable_name(std::string_view mangled, std::span<char> buffer) noexcept {
  // Itanium C++ ABI, 5.1: only nested and plain names, without template arguments.
  if (mangled.substr(0, 2) != "_Z") return mangled;
  std::string_view rest = mangled.substr(2);
  const bool nested = !rest.empty() && rest[0] == 'N';
  if (nested) rest.remove_prefix(1);
  while (nested && !rest.empty() && (rest[0] == 'K' || rest[0] == 'V')) rest.remove_prefix(1);
  if (!starts_with_digit(rest)) return mangled;
  Cursor out(buffer);
  std::string_view last;
  do {
    if (!last.empty()) out.put("::");
    last = take_name(rest);
    if (last.empty()) return mangled;
    out.put(last == "_GLOBAL__N_1" ? "(anonymous)" : last);
  } while (nested && starts_with_digit(rest));
  if (nested && rest.substr(0, 1) == "C") {  // constructor, destructor
    out.put("::");
    out.put(last);
  } else if (nested && rest.substr(0, 1) == "D") {
    out.put("::~");
    out.put(last);
  } else if (nested && rest.substr(0, 1) != "E") {
    return mangled;
  } else if (!nested && rest.substr(0, 1) == "I") {
    return mangled;
  }
  return out.failed() ? mangled : out.text();
}

}  // namespace pillion::crash
