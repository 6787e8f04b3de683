// Bytes of a GDB connection: any may come, and none may harm the monitor.
#include "vm/gdb/session.hpp"

#include <algorithm>
#include <cstdint>
#include <vector>

namespace {

using namespace strata;
using strata::vm::gdb::Stop;

class Machine final : public vm::gdb::Target {
public:
    bool running = false;

    [[nodiscard]] unsigned threads() const override { return 2; }

    [[nodiscard]] bool long_mode_processor() const override { return true; }

    [[nodiscard]] std::string thread_description(unsigned) override { return "CPU"; }

    [[nodiscard]] cpu::x86::State registers(unsigned thread) override { return states_.at(thread); }

    void set_registers(unsigned thread, const cpu::x86::State& state) override { states_.at(thread) = state; }

    std::size_t read_memory(unsigned, std::uint64_t address, std::span<std::byte> to) override {
        return address < 4096 ? std::min<std::size_t>(to.size(), 4096 - address) : 0;
    }

    std::size_t write_memory(unsigned, std::uint64_t address, std::span<const std::byte> from) override {
        return address < 4096 ? std::min<std::size_t>(from.size(), 4096 - address) : 0;
    }

    void set_stops(const cpu::DebugControl&) override {}

    void resume(std::span<const Action>) override { running = true; }

    void interrupt() override {}

    [[nodiscard]] std::string monitor(std::string_view command) override { return std::string(command); }

    void kill() override {}

    void detach() override {}

private:
    std::vector<cpu::x86::State> states_{2};
};

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Machine machine;
    vm::gdb::Session session(machine, [](std::string_view) {});
    // In pieces, as a network brings them; a running machine stops after each.
    const auto bytes = std::as_bytes(std::span(data, size));
    for (std::size_t at = 0; at < bytes.size(); at += 64) {
        session.receive(bytes.subspan(at, std::min<std::size_t>(64, bytes.size() - at)));
        if (machine.running) {
            machine.running = false;
            session.stopped({Stop::Reason::watch, 1, 0x100});
        }
    }
    return 0;
}
