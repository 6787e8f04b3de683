// The interpreter, reached through the engine seam: the same cases in a guest of one page table and one
// process.
#pragma once

#include "base/clock.hpp"
#include "cpu/engine.hpp"
#include "guest_tables.hpp"
#include "memory/guest_memory.hpp"
#include "test_case.hpp"
#include "watchdog.hpp"

#include <memory>
#include <string_view>

namespace strata::oracle {

class Guest {
public:
    static Result<std::unique_ptr<Guest>> create(std::string_view engine, const cpu::x86::Model& model,
                                                 const std::array<std::uint8_t, page>& constant);

    // A case that does not come to an exception is Ending::lost. 64-bit code is for long mode, 32-bit code
    // not for virtual-8086 mode.
    void run(const TestCase& input, SystemMode mode, Outcome& output);
    // That the engine has translated so far.
    [[nodiscard]] std::uint64_t traces() const;

private:
    Guest(std::unique_ptr<memory::GuestMemory> memory, std::unique_ptr<cpu::Bus> bus);
    void load_memory(const TestCase& input);
    cpu::Exit run_watched();
    void store_page(unsigned arena_page, const void* from);

    Clock clock_;
    std::unique_ptr<memory::GuestMemory> memory_;
    std::unique_ptr<cpu::Bus> bus_;
    std::unique_ptr<cpu::Engine> engine_;
    std::unique_ptr<cpu::Vcpu> vcpu_;
    Watchdog watchdog_{[this] { vcpu_->signals().set(cpu::Signals::leave); }}; // for a case that does not end
};

} // namespace strata::oracle
