// The session's queries: what GDB asks about the target, beside its registers and memory.
#include "vm/gdb/replies.hpp"
#include "vm/gdb/session.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>

namespace strata::vm::gdb {

using namespace replies;

struct Session::Query {
    std::string_view name; // up to and including its separator
    Reply (Session::*handler)(std::string_view arguments);
};

Session::Reply Session::query(std::string_view arguments) {
    static constexpr std::array queries{
        Query{"Supported", &Session::supported},
        Query{"Xfer:features:read:", &Session::transfer},
        Query{"fThreadInfo", &Session::first_threads},
        Query{"ThreadExtraInfo,", &Session::thread_info},
        Query{"Rcmd,", &Session::monitor},
    };
    if (arguments == "C") {
        return "QC" + thread_id(thread_);
    }
    if (arguments == "sThreadInfo") {
        return "l";
    }
    if (arguments.starts_with("Attached")) {
        return "1";
    }
    for (const Query& known : queries) {
        if (take_prefix(arguments, known.name)) {
            return (this->*known.handler)(arguments);
        }
    }
    return unsupported;
}

Session::Reply Session::supported(std::string_view) {
    return fmt::format("PacketSize={:x};qXfer:features:read+;vContSupported+;QStartNoAckMode+", packet_size);
}

Session::Reply Session::set(std::string_view arguments) {
    if (arguments == "StartNoAckMode") {
        send_packet(ok); // the last that is acknowledged
        acknowledge_ = false;
        return std::nullopt;
    }
    return unsupported;
}

// "target.xml:OFFSET,SIZE": a piece of the target description, 'l' before the last.
Session::Reply Session::transfer(std::string_view arguments) {
    if (!take_prefix(arguments, "target.xml:")) {
        return "E00";
    }
    const auto range = take_range(arguments);
    const std::string& xml = registers_.target_xml();
    if (!range || range->address > xml.size()) {
        return error_bad_argument;
    }
    const std::string piece =
        xml.substr(range->address, std::min<std::uint64_t>(range->size, packet_size - 4));
    return (range->address + piece.size() < xml.size() ? "m" : "l") + piece;
}

Session::Reply Session::first_threads(std::string_view) {
    std::string text = "m";
    for (unsigned thread = 0; thread < target_.threads(); ++thread) {
        text += (thread != 0 ? "," : "") + thread_id(thread);
    }
    return text;
}

Session::Reply Session::thread_info(std::string_view arguments) {
    const auto thread = thread_of(arguments);
    return thread ? to_hex(target_.thread_description(*thread)) : error_bad_argument;
}

Session::Reply Session::monitor(std::string_view arguments) {
    const auto bytes = from_hex(arguments);
    if (!bytes) {
        return error_bad_argument;
    }
    std::string command;
    for (const std::byte byte : *bytes) {
        command.push_back(static_cast<char>(byte));
    }
    const std::string output = target_.monitor(command);
    return output.empty() ? ok : to_hex(output);
}

} // namespace strata::vm::gdb
