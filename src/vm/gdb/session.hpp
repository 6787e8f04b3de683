// One GDB's conversation: takes packets, acts on the target, makes the answers.
// Source: GDB manual, appendix E "GDB Remote Serial Protocol", sections E.2 to E.7.
#pragma once

#include "vm/gdb/packet.hpp"
#include "vm/gdb/registers.hpp"
#include "vm/gdb/target.hpp"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace strata::vm::gdb {

// All-stop mode: the machine is stopped as a whole whenever GDB may look at it. For one thread.
class Session {
public:
    // Bytes for GDB go to `send`. `target` is stopped now and outlives the session.
    Session(Target& target, std::function<void(std::string_view)> send);

    // Bytes from GDB: anything may come.
    void receive(std::span<const std::byte> bytes);
    // The machine stopped after a resume().
    void stopped(const Stop& stop);

    // GDB has detached or killed: nothing more is to be said.
    [[nodiscard]] bool finished() const { return finished_; }

private:
    using Reply = std::optional<std::string>; // none: answered later, or not at all
    struct Command;
    struct Query;

    void handle(const std::string& packet);
    [[nodiscard]] Reply answer(std::string_view packet);
    void send_packet(std::string_view data);

    [[nodiscard]] Reply read_registers(std::string_view);
    [[nodiscard]] Reply write_registers(std::string_view arguments);
    [[nodiscard]] Reply read_register(std::string_view arguments);
    [[nodiscard]] Reply write_register(std::string_view arguments);
    [[nodiscard]] Reply read_memory(std::string_view arguments);
    [[nodiscard]] Reply write_memory_hex(std::string_view arguments);
    [[nodiscard]] Reply write_memory_binary(std::string_view arguments);
    [[nodiscard]] Reply write_memory(std::uint64_t address, std::uint64_t size,
                                     std::span<const std::byte> data);
    [[nodiscard]] Reply insert_stop(std::string_view arguments);
    [[nodiscard]] Reply remove_stop(std::string_view arguments);
    [[nodiscard]] Reply change_stop(std::string_view arguments, bool insert);
    [[nodiscard]] Reply resume_all(std::string_view arguments);
    [[nodiscard]] Reply resume_all_with_signal(std::string_view arguments);
    [[nodiscard]] Reply step(std::string_view arguments);
    [[nodiscard]] Reply step_with_signal(std::string_view arguments);
    [[nodiscard]] Reply resume_from(std::string_view address, Target::Action action);
    [[nodiscard]] Reply v_packet(std::string_view arguments);
    [[nodiscard]] Reply resume_by_actions(std::string_view actions);
    [[nodiscard]] Reply select_thread(std::string_view arguments);
    [[nodiscard]] Reply thread_alive(std::string_view arguments);
    [[nodiscard]] Reply stop_reason(std::string_view);
    [[nodiscard]] Reply detach(std::string_view);
    [[nodiscard]] Reply kill(std::string_view);
    [[nodiscard]] Reply query(std::string_view arguments);
    [[nodiscard]] Reply set(std::string_view arguments);
    [[nodiscard]] Reply transfer(std::string_view arguments);
    [[nodiscard]] Reply supported(std::string_view);
    [[nodiscard]] Reply first_threads(std::string_view);
    [[nodiscard]] Reply thread_info(std::string_view arguments);
    [[nodiscard]] Reply monitor(std::string_view arguments);

    // A thread as GDB numbers it, from 1; 0 and -1 ("any", "all") give none.
    [[nodiscard]] std::optional<unsigned> thread_of(std::string_view id) const;
    [[nodiscard]] std::string stop_text() const;

    Target& target_;
    std::function<void(std::string_view)> send_;
    RegisterMap registers_;
    PacketReader reader_;
    cpu::DebugControl stops_;
    std::string last_sent_;
    Stop last_stop_{};
    unsigned thread_ = 0;      // that g, p, m and the like are about (Hg)
    unsigned step_thread_ = 0; // that s is about (Hc)
    bool acknowledge_ = true;
    bool running_ = false;
    bool finished_ = false;
};

} // namespace strata::vm::gdb
