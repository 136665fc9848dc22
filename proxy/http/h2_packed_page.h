#pragma once
// A page that is mostly zeros, kept without them: a bit for each of its words, which tells whether
// the word is not zero, and behind those bits the words that are not.  Internal to h2_memory.cc.

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace pillion::http {

struct H2PackedPage {
  using Word = uint32_t;
  static constexpr size_t kPage = 4096;
  static constexpr size_t kGroups = kPage / sizeof(Word) / 64;  // of words, a mask each

  // What pack() will write.
  static size_t bytes(const void* page) noexcept {
    const char* from = static_cast<const char*>(page);
    size_t words = 0;
    for (size_t at = 0; at < kPage; at += sizeof(Word)) {
      Word word;
      std::memcpy(&word, from + at, sizeof word);
      words += static_cast<size_t>(word != 0);
    }
    return kGroups * sizeof(uint64_t) + words * sizeof(Word);
  }
  static void pack(const void* page, void* packed) noexcept {
    const char* from = static_cast<const char*>(page);
    char* mask = static_cast<char*>(packed);
    char* to = mask + kGroups * sizeof(uint64_t);
    for (size_t group = 0; group < kGroups; ++group) {
      uint64_t bits = 0;
      for (size_t i = 0; i < 64; ++i, from += sizeof(Word)) {
        Word word;
        std::memcpy(&word, from, sizeof word);
        if (word == 0) continue;
        bits |= uint64_t{1} << i;
        std::memcpy(to, from, sizeof word);
        to += sizeof word;
      }
      std::memcpy(mask + group * sizeof bits, &bits, sizeof bits);
    }
  }
  // `page` is all zeros.
  static void unpack(const void* packed, void* page) noexcept {
    const char* mask = static_cast<const char*>(packed);
    const char* from = mask + kGroups * sizeof(uint64_t);
    char* to = static_cast<char*>(page);
    for (size_t group = 0; group < kGroups; ++group, to += 64 * sizeof(Word)) {
      uint64_t bits;
      std::memcpy(&bits, mask + group * sizeof bits, sizeof bits);
      for (; bits != 0; bits &= bits - 1, from += sizeof(Word))
        std::memcpy(to + sizeof(Word) * static_cast<size_t>(std::countr_zero(bits)), from,
                    sizeof(Word));
    }
  }
};

}  // namespace pillion::http
