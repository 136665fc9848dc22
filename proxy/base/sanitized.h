#pragma once
// PILLION_SANITIZED: 1 if the build has ASan or TSan, which bring allocator and signal handlers of
// their own; else 0.

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define PILLION_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define PILLION_SANITIZED 1
#endif
#endif
#ifndef PILLION_SANITIZED
#define PILLION_SANITIZED 0
#endif
