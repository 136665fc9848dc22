#pragma once
// SettledSecrets: the secrets that nothing has to wait for: they are there, or were given up.
//
// The SecretStore keeps it; the builder is handed copies, which cost nothing (base/shared_map.h).

#include <string>

#include "proxy/base/shared_map.h"
#include "proxy/base/str.h"
#include "proxy/tls/secret.h"

namespace pillion::tls {

class SettledSecrets {
 public:
  void insert(const SecretName& name) { names_.insert(text_of(name)); }
  void erase(const SecretName& name) { names_.erase(text_of(name)); }
  [[nodiscard]] bool contains(const SecretName& name) const {
    return names_.contains(text_of(name));
  }
  // All that a TLS context needs?  What was found when the configuration was read is.
  [[nodiscard]] bool has(const SecretRefs& refs) const {
    bool has_all = true;
    for_each_ref(refs, [&](const SecretRef& ref) { has_all = has_all && has(ref); });
    return has_all;
  }
  [[nodiscard]] bool has(const SecretRef& ref) const {
    return ref.initial != nullptr || contains(ref.key());
  }

 private:
  // Lengths keep the parts apart.
  static std::string text_of(const SecretName& name) {
    return str(static_cast<int>(name.kind), ' ', name.source.size(), ' ', name.source, name.name);
  }

  SharedNames names_;
};

}  // namespace pillion::tls
