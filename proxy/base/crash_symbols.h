#pragma once
// Function names of the running executable, for the crash handler: no allocation, no lock.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace pillion::crash {

struct Symbol {
  std::string_view name;  // mangled; empty if unknown
  uint64_t offset = 0;    // from its start
};

// An ELF image in memory.  Nothing of it is trusted: a damaged one has no symbols.
class ElfSymbols {
 public:
  ElfSymbols() = default;
  explicit ElfSymbols(std::span<const std::byte> image) noexcept : image_(image) {}

  // The function at an address as the file counts it (run-time address minus load bias).
  [[nodiscard]] Symbol find(uint64_t address) const noexcept;

 private:
  template <typename T>
  [[nodiscard]] bool read(uint64_t at, T& out) const noexcept;
  [[nodiscard]] std::string_view text_at(uint64_t at) const noexcept;

  std::span<const std::byte> image_;
};

// A mangled name for reading: "_ZN7pillion4core6Stream4failENS_7FailureE" is
// "pillion::core::Stream::fail".  Names it does not understand are returned as they are.  Writes to
// `buffer`; no allocation.
std::string_view readable_name(std::string_view mangled, std::span<char> buffer) noexcept;

}  // namespace pillion::crash
