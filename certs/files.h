#pragma once
// Secrets that stand in files: one certificate with its key and OCSP response, or one set of
// trusted CAs; and those of a file that holds a DiscoveryResponse (path_config_source).
//
// Files are watched: a rename over them, a write in place, and any symlink on the way (a mounted
// Kubernetes Secret swaps one).  What does not belong together (certificate, key, OCSP response),
// is cut short, or is gone is never used: the last good one stays, one warning names the file, and
// the next change of any of the files is the next try.

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "certs/provider.h"
#include "certs/watched_files.h"

namespace pillion::certs {

// Of SecretSource::Files, which is the source of exactly one secret.
class FilesProvider final : public Provider, private io::FileObserver {
 public:
  FilesProvider(const ProviderContext& context, const tls::SecretSource::Files& files);
  void want(const tls::SecretRef& ref) override;
  void unwant(const tls::SecretName& name) override;
  void stop() override { watches_.clear(); }
  void check() override { read(); }

 private:
  void on_file_changed() override { read(); }
  void on_file_gone(const std::string& path) override;
  void read();
  void fail(std::string_view reason);

  ProviderContext context_;
  const tls::SecretSource::Files files_;
  WatchedFiles watches_;
  tls::SecretName name_;
  tls::SecretPtr last_;  // that was put, or that the configuration had
  bool is_wanted_ = false;
};

// Of SecretSource::Path.
class PathProvider final : public Provider, private io::FileObserver {
 public:
  PathProvider(const ProviderContext& context, const tls::SecretSource::Path& path);
  void want(const tls::SecretRef& ref) override;
  void unwant(const tls::SecretName& name) override;
  void stop() override { watches_.clear(); }
  void check() override { read(); }

 private:
  void on_file_changed() override { read(); }
  void on_file_gone(const std::string& path) override;
  void read();
  void fail_all(std::string_view reason);

  ProviderContext context_;
  const std::string path_;
  WatchedFiles watches_;
  std::set<tls::SecretName> wanted_;
};

}  // namespace pillion::certs
