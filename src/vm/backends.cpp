#include "vm/backends.hpp"

#include "backends/net/user.hpp"
#include "base/error.hpp"

#include <array>
#include <filesystem>
#include <fmt/format.h>

namespace strata::vm {
namespace {

using machine::Backends;

// One console option: its name for messages, its value, and where what it opens belongs.
struct Wire {
    std::string_view option;
    const std::string& spec;
    std::unique_ptr<backends::CharBackend>& to;
};

Result<void> open_consoles(const MachineConfig& config, EventLoop& loop, const std::function<void()>& quit,
                           Backends& backends) {
    const std::array<Wire, 3> wires{{{"--serial", config.serial, backends.serial},
                                     {"--console", config.console, backends.console},
                                     {"--debug-console", config.debug_console, backends.debug_console}}};
    const Wire* terminal = nullptr;
    for (const Wire& wire : wires) {
        if (wire.spec == "none") {
            continue;
        }
        if (wire.spec == "stdio" && terminal != nullptr) {
            return fail(std::string(terminal->option) + " and " + std::string(wire.option) +
                            " can't both be wired to stdio",
                        "give one of them none, pty, file:PATH or socket:PATH");
        }
        if (wire.spec == "stdio") {
            terminal = &wire;
        }
        auto opened = backends::open_char(loop, wire.spec, {.quit = quit});
        if (!opened) {
            return std::unexpected(opened.error());
        }
        wire.to = std::move(*opened);
    }
    return {};
}

Result<void> open_disks(const MachineConfig& config, Backends& backends) {
    for (const DiskConfig& disk : config.disks) {
        auto image = backends::open_image(disk.path, {.format = disk.format, .read_only = disk.read_only});
        if (!image) {
            return std::unexpected(image.error());
        }
        backends.disks.push_back({std::filesystem::path(disk.path).filename(), std::move(*image)});
    }
    return {};
}

Result<void> open_network(const MachineConfig& config, EventLoop& loop, Backends& backends) {
    if (!config.network) {
        if (!config.forwards.empty()) {
            return fail("a port forward needs a network", "leave out --net none, or the -p options");
        }
        return {};
    }
    backends::UserNetOptions options;
    for (const std::string& text : config.forwards) {
        auto forward = backends::parse_port_forward(text);
        if (!forward) {
            return std::unexpected(forward.error());
        }
        for (const auto& other : options.forwards) {
            if (backends::overlap(*forward, other)) {
                return fail(fmt::format("port forwards {} and {} want the same port of the host",
                                        to_string(other), to_string(*forward)),
                            "give each a port of its own");
            }
        }
        options.forwards.push_back(std::move(*forward));
    }
    auto network = backends::create_user_net(loop, options);
    if (!network) {
        return std::unexpected(network.error());
    }
    backends.network = std::move(*network);
    return {};
}

} // namespace

Result<Backends> create_backends(const MachineConfig& config, EventLoop& loop,
                                 const std::function<void()>& quit) {
    Backends backends;
    if (auto opened = open_disks(config, backends); !opened) {
        return std::unexpected(opened.error());
    }
    if (auto opened = open_network(config, loop, backends); !opened) {
        return std::unexpected(opened.error());
    }
    // The terminal last: once it is raw, an error about something else would be hard to read.
    if (auto opened = open_consoles(config, loop, quit, backends); !opened) {
        return std::unexpected(opened.error());
    }
    return backends;
}

} // namespace strata::vm
