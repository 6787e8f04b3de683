#include "vm/gdb/session.hpp"

#include "vm/gdb/replies.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>

namespace strata::vm::gdb {

using namespace replies;

namespace {

// Signals as GDB numbers them (include/gdb/signals.def): what a stop looks like to it.
constexpr unsigned signal_interrupt = 2, signal_trap = 5;

} // namespace

Session::Session(Target& target, std::function<void(std::string_view)> send)
    : target_(target), send_(std::move(send)), registers_(target.long_mode_processor()) {}

void Session::receive(std::span<const std::byte> bytes) {
    for (const Event& event : reader_.feed(bytes)) {
        if (finished_) {
            return;
        }
        switch (event.kind) {
        case Event::Kind::packet:
            if (acknowledge_) {
                send_("+");
            }
            handle(event.data);
            break;
        case Event::Kind::bad_packet:
            if (acknowledge_) {
                send_("-");
            }
            break;
        case Event::Kind::resend:
            if (acknowledge_ && !last_sent_.empty()) {
                send_(last_sent_);
            }
            break;
        case Event::Kind::interrupt:
            if (running_) {
                target_.interrupt();
            }
            break;
        case Event::Kind::acknowledged: break;
        }
    }
}

void Session::handle(const std::string& packet) {
    // While the machine runs, only an interrupt makes sense: what else comes would read a moving state.
    if (running_ || packet.empty()) {
        send_packet(unsupported);
        return;
    }
    if (const auto reply = answer(packet)) {
        send_packet(*reply);
    }
}

void Session::send_packet(std::string_view data) {
    last_sent_ = frame(data);
    send_(last_sent_);
}

// ---- the table of commands ----

struct Session::Command {
    char letter;
    Reply (Session::*handler)(std::string_view arguments);
};

Session::Reply Session::answer(std::string_view packet) {
    static constexpr std::array commands{
        Command{'?', &Session::stop_reason},
        Command{'C', &Session::resume_all_with_signal},
        Command{'D', &Session::detach},
        Command{'G', &Session::write_registers},
        Command{'H', &Session::select_thread},
        Command{'M', &Session::write_memory_hex},
        Command{'P', &Session::write_register},
        Command{'Q', &Session::set},
        Command{'S', &Session::step_with_signal},
        Command{'T', &Session::thread_alive},
        Command{'X', &Session::write_memory_binary},
        Command{'Z', &Session::insert_stop},
        Command{'c', &Session::resume_all},
        Command{'g', &Session::read_registers},
        Command{'k', &Session::kill},
        Command{'m', &Session::read_memory},
        Command{'p', &Session::read_register},
        Command{'q', &Session::query},
        Command{'s', &Session::step},
        Command{'v', &Session::v_packet},
        Command{'z', &Session::remove_stop},
    };
    const auto* const found = std::ranges::find(commands, packet.front(), &Command::letter);
    if (found == commands.end()) {
        return unsupported;
    }
    return (this->*found->handler)(packet.substr(1));
}

// ---- registers ----

Session::Reply Session::read_registers(std::string_view) {
    return registers_.read_all(target_.registers(thread_));
}

Session::Reply Session::write_registers(std::string_view arguments) {
    const auto bytes = from_hex(arguments);
    auto state = target_.registers(thread_);
    if (!bytes || !registers_.write_all(state, *bytes)) {
        return error_bad_argument;
    }
    target_.set_registers(thread_, state);
    return ok;
}

Session::Reply Session::read_register(std::string_view arguments) {
    const auto number = take_number(arguments);
    if (!number || *number >= registers_.rows().size()) {
        return error_bad_argument;
    }
    return registers_.read(target_.registers(thread_), *number);
}

Session::Reply Session::write_register(std::string_view arguments) {
    const auto number = take_number(arguments);
    if (!number || !take_prefix(arguments, "=")) {
        return error_bad_argument;
    }
    const auto bytes = from_hex(arguments);
    auto state = target_.registers(thread_);
    if (!bytes || !registers_.write(state, *number, *bytes)) {
        return error_bad_argument;
    }
    target_.set_registers(thread_, state);
    return ok;
}

// ---- memory ----

Session::Reply Session::read_memory(std::string_view arguments) {
    const auto range = take_range(arguments);
    if (!range) {
        return error_bad_argument;
    }
    std::vector<std::byte> bytes(std::min<std::uint64_t>(range->size, packet_size / 2));
    bytes.resize(target_.read_memory(thread_, range->address, bytes));
    return bytes.empty() && range->size != 0 ? error_memory : to_hex(bytes);
}

Session::Reply Session::write_memory_hex(std::string_view arguments) {
    const auto range = take_range(arguments);
    if (!range || !take_prefix(arguments, ":")) {
        return error_bad_argument;
    }
    const auto data = from_hex(arguments);
    return data ? write_memory(range->address, range->size, *data) : error_bad_argument;
}

Session::Reply Session::write_memory_binary(std::string_view arguments) {
    const auto range = take_range(arguments);
    if (!range || !take_prefix(arguments, ":")) {
        return error_bad_argument;
    }
    return write_memory(range->address, range->size, std::as_bytes(std::span(arguments)));
}

Session::Reply Session::write_memory(std::uint64_t address, std::uint64_t size,
                                     std::span<const std::byte> data) {
    if (data.size() != size) {
        return error_bad_argument;
    }
    return target_.write_memory(thread_, address, data) == size ? ok : error_memory;
}

// ---- breakpoints and watchpoints ----

Session::Reply Session::insert_stop(std::string_view arguments) { return change_stop(arguments, true); }

Session::Reply Session::remove_stop(std::string_view arguments) { return change_stop(arguments, false); }

Session::Reply Session::change_stop(std::string_view arguments, bool insert) {
    // "TYPE,ADDRESS,KIND": 0 and 1 are breakpoints, which we make alike; 2 to 4 watch writes, reads, both.
    const auto type = take_number(arguments);
    if (!type || *type > 4) {
        return unsupported;
    }
    if (!take_prefix(arguments, ",")) {
        return error_bad_argument;
    }
    const auto range = take_range(arguments);
    if (!range) {
        return error_bad_argument;
    }
    if (*type <= 1) {
        std::erase(stops_.breakpoints, range->address);
        if (insert) {
            stops_.breakpoints.push_back(range->address);
        }
    } else {
        const cpu::DebugControl::Watch watch{range->address, range->size, *type != 2, *type != 3};
        std::erase_if(stops_.watches, [&](const auto& other) {
            return other.address == watch.address && other.size == watch.size &&
                   other.on_read == watch.on_read && other.on_write == watch.on_write;
        });
        if (insert) {
            stops_.watches.push_back(watch);
        }
    }
    target_.set_stops(stops_);
    return ok;
}

// ---- running and stopping ----

Session::Reply Session::resume_all(std::string_view arguments) {
    return resume_from(arguments, Target::Action::run);
}

Session::Reply Session::step(std::string_view arguments) {
    return resume_from(arguments, Target::Action::step);
}

// A signal for the guest means nothing to a machine: "Csig[;address]" is "c[address]".
Session::Reply Session::resume_all_with_signal(std::string_view arguments) {
    const auto semicolon = arguments.find(';');
    return resume_all(semicolon == std::string_view::npos ? std::string_view{}
                                                          : arguments.substr(semicolon + 1));
}

Session::Reply Session::step_with_signal(std::string_view arguments) {
    const auto semicolon = arguments.find(';');
    return step(semicolon == std::string_view::npos ? std::string_view{} : arguments.substr(semicolon + 1));
}

Session::Reply Session::resume_from(std::string_view address, Target::Action action) {
    if (!address.empty()) {
        const auto rip = take_number(address);
        if (!rip) {
            return error_bad_argument;
        }
        auto state = target_.registers(step_thread_);
        state.rip = *rip;
        target_.set_registers(step_thread_, state);
    }
    const bool step = action == Target::Action::step;
    std::vector<Target::Action> actions(target_.threads(), step ? Target::Action::stay : Target::Action::run);
    actions[step_thread_] = action;
    running_ = true;
    target_.resume(actions);
    return std::nullopt;
}

Session::Reply Session::v_packet(std::string_view arguments) {
    if (arguments == "Cont?") {
        return "vCont;c;C;s;S";
    }
    if (take_prefix(arguments, "Cont;")) {
        return resume_by_actions(arguments);
    }
    return arguments.starts_with("Kill") ? kill({}) : unsupported;
}

// "ACTION[:THREAD];...": the first that fits a thread is its action; threads that none fits stay.
Session::Reply Session::resume_by_actions(std::string_view text) {
    std::vector<std::optional<Target::Action>> actions(target_.threads());
    while (!text.empty()) {
        const std::string_view item = text.substr(0, text.find(';'));
        text.remove_prefix(std::min(item.size() + 1, text.size()));
        if (item.empty()) {
            return error_bad_argument;
        }
        const char letter = item.front();
        if (letter != 'c' && letter != 'C' && letter != 's' && letter != 'S') {
            return unsupported;
        }
        const auto action = letter == 's' || letter == 'S' ? Target::Action::step : Target::Action::run;
        const auto colon = item.find(':');
        const auto thread =
            colon == std::string_view::npos ? std::nullopt : thread_of(item.substr(colon + 1));
        for (unsigned i = 0; i < actions.size(); ++i) {
            if (!actions[i] && (!thread || *thread == i)) {
                actions[i] = action;
            }
        }
    }
    if (std::ranges::none_of(actions, &std::optional<Target::Action>::has_value)) {
        return error_bad_argument; // nothing would run, and nothing would ever stop
    }
    std::vector<Target::Action> chosen;
    for (const auto& action : actions) {
        chosen.push_back(action.value_or(Target::Action::stay));
    }
    running_ = true;
    target_.resume(chosen);
    return std::nullopt;
}

void Session::stopped(const Stop& stop) {
    if (!running_ || finished_) {
        return;
    }
    running_ = false;
    last_stop_ = stop;
    thread_ = step_thread_ = stop.thread;
    send_packet(stop_text());
    finished_ = stop.reason == Stop::Reason::ended;
}

std::string Session::stop_text() const {
    if (last_stop_.reason == Stop::Reason::ended) {
        return fmt::format("W{:02x}", static_cast<unsigned>(last_stop_.exit_status) & 0xFF);
    }
    const unsigned signal = last_stop_.reason == Stop::Reason::interrupt ? signal_interrupt : signal_trap;
    std::string text = fmt::format("T{:02x}thread:{};", signal, thread_id(last_stop_.thread));
    if (last_stop_.reason == Stop::Reason::watch) {
        const auto watch = std::ranges::find_if(stops_.watches, [&](const auto& w) {
            return last_stop_.address - w.address < w.size || last_stop_.address == w.address;
        });
        if (watch != stops_.watches.end()) {
            const std::string_view kind = !watch->on_read ? "watch" : !watch->on_write ? "rwatch" : "awatch";
            text += fmt::format("{}:{:x};", kind, last_stop_.address);
        }
    }
    return text;
}

Session::Reply Session::stop_reason(std::string_view) { return stop_text(); }

Session::Reply Session::detach(std::string_view) {
    send_packet(ok);
    finished_ = true;
    target_.detach();
    return std::nullopt;
}

Session::Reply Session::kill(std::string_view) {
    send_packet(ok);
    finished_ = true;
    target_.kill();
    return std::nullopt;
}

// ---- threads ----

std::optional<unsigned> Session::thread_of(std::string_view id) const {
    const auto number = take_number(id);
    if (!number || *number == 0 || *number > target_.threads()) {
        return std::nullopt;
    }
    return static_cast<unsigned>(*number - 1);
}

Session::Reply Session::select_thread(std::string_view arguments) {
    if (arguments.empty()) {
        return error_bad_argument;
    }
    const char operation = arguments.front();
    const std::string_view id = arguments.substr(1);
    const auto thread = thread_of(id);
    if (!thread && id != "0" && id != "-1") {
        return error_bad_argument;
    }
    (operation == 'c' ? step_thread_ : thread_) = thread.value_or(operation == 'c' ? step_thread_ : thread_);
    return ok;
}

Session::Reply Session::thread_alive(std::string_view arguments) {
    return thread_of(arguments) ? ok : error_bad_argument;
}

} // namespace strata::vm::gdb
