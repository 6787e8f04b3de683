// The document that features.md of the runtime specification describes.
#include "container/cgroups/host.hpp"
#include "container/config/vocabulary.hpp"
#include "container/mounts/options.hpp"
#include "container/process/attributes.hpp"
#include "container/process/capabilities.hpp"
#include "oci/command.hpp"

#include <cstdio>
#include <nlohmann/json.hpp>
#include <seccomp.h>

namespace strata::oci {
namespace {

Json seccomp() {
    const Json flags{"SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
                     "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"};
    return {{"enabled", true},
            {"actions", container::seccomp_action_names()},
            {"operators", container::seccomp_operator_names()},
            {"archs", container::seccomp_architecture_names()},
            {"knownFlags", flags},
            {"supportedFlags", flags}};
}

Json linux_features() {
    return {
        {"namespaces", {"cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"}},
        {"capabilities", container::capability_names()},
        {"cgroup", {{"v1", true}, {"v2", true}, {"systemd", true}, {"systemdUser", true}, {"rdma", true}}},
        {"seccomp", seccomp()},
        {"apparmor", {{"enabled", true}}},
        {"selinux", {{"enabled", true}}},
        {"intelRdt", {{"enabled", true}, {"schemata", true}, {"monitoring", true}}},
        {"memoryPolicy",
         {{"modes",
           {"MPOL_DEFAULT", "MPOL_BIND", "MPOL_INTERLEAVE", "MPOL_WEIGHTED_INTERLEAVE", "MPOL_PREFERRED",
            "MPOL_PREFERRED_MANY", "MPOL_LOCAL"}},
          {"flags", {"MPOL_F_NUMA_BALANCING", "MPOL_F_RELATIVE_NODES", "MPOL_F_STATIC_NODES"}}}},
        {"mountExtensions", {{"idmap", {{"enabled", true}}}}},
        {"netDevices", {{"enabled", true}}}};
}

} // namespace

Result<int> features(container::Runtime& /*runtime*/, Words words) {
    Arguments arguments(
        "features", "Prints what this runtime can do, as JSON (features.md of the runtime specification).");
    const auto rest = arguments.parse(words, 0, 0);
    if (!rest || arguments.helped()) {
        return rest ? Result<int>(0) : std::unexpected(rest.error());
    }
    const auto version = *::seccomp_version();
    const Json document{
        {"ociVersionMin", "1.0.0"},
        {"ociVersionMax", "1.3.0"},
        {"hooks",
         {"prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"}},
        {"mountOptions", container::mount_option_names()},
        {"linux", linux_features()},
        {"annotations",
         {{"io.github.seccomp.libseccomp.version", std::to_string(version.major) + "." +
                                                       std::to_string(version.minor) + "." +
                                                       std::to_string(version.micro)},
          {"org.opencontainers.runc.checkpoint.enabled", "true"}}},
        {"potentiallyUnsafeConfigAnnotations", {"org.systemd.property.", "org.criu.config"}}};
    std::printf("%s\n", document.dump(2).c_str());
    return 0;
}

} // namespace strata::oci
