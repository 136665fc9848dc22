#pragma once
// H2Memory: the allocator of one H2Session: what nghttp2 asks for comes from its thread's free
// lists, and what an idle session does not need is not there.
//
//   small blocks       free lists by size class, at most kKeptBytes a class and thread
//   larger ones        malloc
//   the frame buffer   16 KiB in which nghttp2 makes a frame, at every session from its birth: all
//                      sessions of a thread share one.  Its bytes mean something only from when a
//                      frame is begun to when it is with the Writer; a session that cannot send
//                      meanwhile finds a copy of its own again when it goes on
//   tables of streams  4 KiB or more of zeros while no stream is there: pages that sweep() gives
//                      back to the system once they are all zeros, as they are without being there
//   the session        which is 3 KiB, and the first ring of pointers that it asks for (1 KiB): one
//                      page, three quarters of which are zeros.  sweep() keeps what is not zero in
//                      a block, and gives the page back: the session sleeps.  Its addresses stay
//                      what they are; wake() fills them again
//
// A member of H2Session, which hands the four functions to nghttp2 and outlives what they gave out.
// All calls are made on the thread that made the session: it never moves.
//
//   H2Memory, (session made within a Sending and a Building), (wake? Sending)*, wake?, session
//   freed, ~H2Memory
//
// Nobody but wake() may touch a session that sleeps; debug builds make sure of it.

#include <cstddef>
#include <cstdint>

#include "proxy/base/buffer.h"
#include "proxy/base/intrusive_list.h"

namespace pillion::http {

class H2Pools;

class H2Memory : private ListNode<> {
 public:
  // A frame with its head and one byte of padding.  Should another version of nghttp2 ask for
  // another size, sessions have their own again (and tests of their memory fail).
  static constexpr size_t kFrameBytes = 16384 + 9 + 1;
  static constexpr size_t kPageBytes = 4096;
  static constexpr size_t kKeptBytes = 64 * 1024;

  // While `in_use` is not zero the session does not sleep; outlives this.
  explicit H2Memory(const uint32_t& in_use = kNotInUse);
  ~H2Memory();
  H2Memory(const H2Memory&) = delete;
  H2Memory& operator=(const H2Memory&) = delete;

  // malloc, calloc, realloc and free of nghttp2_mem; `self` is the H2Memory.
  static void* allocate(size_t bytes, void* self);
  static void* allocate_zeroed(size_t count, size_t bytes, void* self);
  static void* resize(void* block, size_t bytes, void* self);
  static void release(void* block, void* self);

  // The session is made while this lives: its page takes what belongs there.
  class Building {
   public:
    explicit Building(H2Memory& memory) noexcept;
    ~Building();
    Building(const Building&) = delete;
    Building& operator=(const Building&) = delete;

   private:
    H2Memory& memory_;
  };

  // The session makes frames while this lives, which may be within another session's.
  class Sending {
   public:
    explicit Sending(H2Memory& memory);
    ~Sending();
    Sending(const Sending&) = delete;
    Sending& operator=(const Sending&) = delete;
    // No frame is half made: the next Sending needs nothing of the buffer.
    void set_complete(bool complete) noexcept { complete_ = complete; }

   private:
    H2Memory& memory_;
    H2Memory* const outer_;
    bool complete_ = false;
  };

  // The session has no stream any more: with the next sweep() what its table took goes, and it
  // falls asleep, if it has no stream then.
  void rest();
  [[nodiscard]] bool is_asleep() const noexcept { return packed_ != nullptr; }
  // A session that sleeps can be used again.  It rests, for this may be for a PING only.
  void wake() noexcept;

  // Bytes of this session, but for pages that were given back and the shared frame buffer.
  [[nodiscard]] size_t live() const noexcept;

  // ---- of the calling thread ----

  // Does any session wait for a sweep?
  [[nodiscard]] static bool has_resting() noexcept { return any_resting_; }
  // Gives back the pages of sessions that rest, some hundreds; true if more wait.
  static bool sweep() noexcept;
  // What is kept for reuse (core/memory_trim.h).
  static void trim_free_lists() noexcept;
  struct Usage {
    size_t blocks = 0;   // bytes, of all sessions
    size_t pages = 0;    // of tables and sessions, as far as they are not known to be absent
    size_t kept = 0;     // in free lists, and pages
    size_t mallocs = 0;  // calls of malloc and its kin since the thread began
  };
  [[nodiscard]] static Usage usage() noexcept;

 private:
  friend class H2Pools;
  friend class IntrusiveList<H2Memory>;
  static constinit inline thread_local bool any_resting_ = false;
  static constexpr uint32_t kNotInUse = 0;

  void* new_table(size_t bytes);
  // Of a table; 0 for other blocks.
  [[nodiscard]] size_t table_size(const void* block) const noexcept;
  void free_table(void* pages) noexcept;
  void set_absent(bool absent) noexcept;
  void sweep_pages() noexcept;
  // Of the session's page; null if that has no room.
  void* take_home(size_t bytes);
  void fall_asleep();
  void save_frame();
  void restore_frame() noexcept;
  void drop_frame() noexcept;

  H2Pools& pools_;
  const uint32_t& in_use_;
  size_t blocks_ = 0;  // bytes
  void* table_ = nullptr;
  void* home_ = nullptr;    // the session's page
  void* packed_ = nullptr;  // a block: what that holds, while the session sleeps
  Slab* saved_ = nullptr;   // of the frame buffer, while another session has it
  uint32_t table_bytes_ = 0;
  uint16_t home_used_ = 0;
  bool table_absent_ : 1 = true;   // no page of it was written to, as far as is known
  bool wants_frame_ : 1 = true;    // the first block of that size is not taken yet
  bool shares_frame_ : 1 = false;  // and is the thread's
};

}  // namespace pillion::http
