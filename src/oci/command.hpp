// The verbs of the command line, one file each, and what they share.
#pragma once

#include "container/runtime.hpp"
#include "oci/arguments.hpp"

#include <span>
#include <string>

namespace strata::oci {

// The options before the verb.
struct Globals {
    std::string root, log, log_format = "text", rootless = "auto";
    bool debug = false, systemd_cgroup = false;
};

using Words = std::span<char* const>;

struct Verb {
    std::string_view name, summary;
    Result<int> (*run)(container::Runtime& runtime, Words words); // the exit status
    bool enters = false; // makes a process that becomes a container's
};

// All of them, by name.
[[nodiscard]] std::span<const Verb> verbs();

Result<int> checkpoint(container::Runtime& runtime, Words words);
Result<int> create(container::Runtime& runtime, Words words);
Result<int> delete_(container::Runtime& runtime, Words words);
Result<int> events(container::Runtime& runtime, Words words);
Result<int> exec(container::Runtime& runtime, Words words);
Result<int> features(container::Runtime& runtime, Words words);
Result<int> kill(container::Runtime& runtime, Words words);
Result<int> list(container::Runtime& runtime, Words words);
Result<int> pause(container::Runtime& runtime, Words words);
Result<int> ps(container::Runtime& runtime, Words words);
Result<int> restore(container::Runtime& runtime, Words words);
Result<int> resume(container::Runtime& runtime, Words words);
Result<int> run(container::Runtime& runtime, Words words);
Result<int> spec(container::Runtime& runtime, Words words);
Result<int> start(container::Runtime& runtime, Words words);
Result<int> state(container::Runtime& runtime, Words words);
Result<int> update(container::Runtime& runtime, Words words);

// A result without a value as exit status 0.
[[nodiscard]] Result<int> status_of(const Result<void>& done);

// A path of the command line's as an absolute one.
[[nodiscard]] Result<std::string> absolute_path(const std::string& path);

// The flags that create, run and restore share.
struct CreateFlags {
    container::CreateOptions options{.bundle = "."};
    bool no_pivot = false, no_new_keyring = false;

    void declare(Arguments& arguments);
    // The options, once the flags were read.
    [[nodiscard]] Result<container::CreateOptions> finish();
};

} // namespace strata::oci
