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
//
// A member of H2Session, which hands the four functions to nghttp2 and outlives what they gave out.
// All calls are made on the thread that made the session: it never moves.
//
//   H2Memory, (session made within a Sending), (Sending)*, session freed, ~H2Memory

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

  H2Memory();
  ~H2Memory();
  H2Memory(const H2Memory&) = delete;
  H2Memory& operator=(const H2Memory&) = delete;

  // malloc, calloc, realloc and free of nghttp2_mem; `self` is the H2Memory.
  static void* allocate(size_t bytes, void* self);
  static void* allocate_zeroed(size_t count, size_t bytes, void* self);
  static void* resize(void* block, size_t bytes, void* self);
  static void release(void* block, void* self);

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

  // The session has no stream any more: what its table took goes with the next sweep().
  void rest();

  // Bytes of this session, but for tables that were given back and the shared frame buffer.
  [[nodiscard]] size_t live() const noexcept;

  // ---- of the calling thread ----

  // Does any session wait for a sweep?
  [[nodiscard]] static bool has_resting() noexcept { return any_resting_; }
  // Gives back the tables of sessions that rest, some hundreds; true if more wait.
  static bool sweep() noexcept;
  // What is kept for reuse (core/memory_trim.h).
  static void trim_free_lists() noexcept;
  struct Usage {
    size_t blocks = 0;   // bytes, of all sessions
    size_t tables = 0;   // but for those that were empty when they were last looked at
    size_t kept = 0;     // in free lists, and pages
    size_t mallocs = 0;  // calls of malloc and its kin since the thread began
  };
  [[nodiscard]] static Usage usage() noexcept;

 private:
  friend class H2Pools;
  friend class IntrusiveList<H2Memory>;
  static constinit inline thread_local bool any_resting_ = false;

  void* new_table(size_t bytes);
  // Of a table; 0 for other blocks.
  [[nodiscard]] size_t table_size(const void* block) const noexcept;
  void free_table(void* pages) noexcept;
  void set_absent(bool absent) noexcept;
  void sweep_table() noexcept;
  void save_frame();
  void restore_frame() noexcept;
  void drop_frame() noexcept;

  H2Pools& pools_;
  size_t blocks_ = 0;  // bytes
  void* table_ = nullptr;
  Slab* saved_ = nullptr;  // of the frame buffer, while another session has it
  uint32_t table_bytes_ = 0;
  bool table_absent_ = true;   // no page of it was written to, as far as is known
  bool wants_frame_ = true;    // the first block of that size is not taken yet
  bool shares_frame_ = false;  // and is the thread's
};

}  // namespace pillion::http
