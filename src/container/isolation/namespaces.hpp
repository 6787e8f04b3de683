// Namespaces: those to join are opened before anything is made; new ones are made by the container's process
// itself.
#pragma once

#include "base/error.hpp"
#include "base/file_descriptor.hpp"
#include "container/config/config.hpp"

#include <vector>

namespace strata::container {

struct OpenNamespace {
    int flag;
    std::string name;
    FileDescriptor file;
};

// The namespaces that the configuration names by path.
[[nodiscard]] Result<std::vector<OpenNamespace>> open_namespaces(const Config& config);

// Joins all but pid namespaces, which a process is born into.
[[nodiscard]] Result<void> join_namespaces(const std::vector<OpenNamespace>& namespaces);

// While it lives, children of this process are born in the pid namespace.
class PidNamespaceScope {
public:
    static Result<PidNamespaceScope> enter(const std::vector<OpenNamespace>& namespaces);

    PidNamespaceScope(PidNamespaceScope&&) noexcept = default;
    PidNamespaceScope& operator=(PidNamespaceScope&&) = delete;
    PidNamespaceScope(const PidNamespaceScope&) = delete;
    PidNamespaceScope& operator=(const PidNamespaceScope&) = delete;
    ~PidNamespaceScope();

private:
    explicit PidNamespaceScope(FileDescriptor own) : own_(std::move(own)) {}

    FileDescriptor own_; // of this process; empty if nothing was entered
};

// A time namespace with its offsets, which this process then is in. Called as root of its user namespace.
[[nodiscard]] Result<void> make_time_namespace(const std::vector<TimeOffset>& offsets);

} // namespace strata::container
