#include "backends/char/char.hpp"

#include "backends/char/file.hpp"
#include "backends/char/null.hpp"
#include "backends/char/pty.hpp"
#include "backends/char/socket.hpp"
#include "backends/char/stdio.hpp"

#include <csignal>
#include <optional>

namespace strata::backends {

namespace {

// What follows "KIND:" in a specification, or nothing if that is nothing or of another kind.
std::optional<std::string> argument_of(const std::string& spec, std::string_view kind) {
    if (!spec.starts_with(kind) || spec.size() <= kind.size() + 1 || spec[kind.size()] != ':') {
        return std::nullopt;
    }
    return spec.substr(kind.size() + 1);
}

} // namespace

Result<std::unique_ptr<CharBackend>> open_char(EventLoop& loop, const std::string& spec,
                                               const CharOptions& options) {
    // A reader that goes away is an error of write(), not the end of the machine.
    std::signal(SIGPIPE, SIG_IGN);
    if (spec == "stdio") {
        return open_stdio(loop, options);
    }
    if (spec == "pty") {
        return open_pty(loop);
    }
    if (spec == "none") {
        return std::make_unique<NullChar>();
    }
    if (const auto path = argument_of(spec, "file")) {
        return open_file(loop, *path);
    }
    if (const auto address = argument_of(spec, "socket")) {
        return open_socket(loop, *address);
    }
    return fail("unknown console '" + spec + "'",
                "use stdio, file:PATH, socket:PATH, socket:HOST:PORT, pty or none");
}

} // namespace strata::backends
