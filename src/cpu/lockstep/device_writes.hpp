// Tells what devices write to guest memory from what the processor writes, and keeps it.
#pragma once

#include "cpu/lockstep/stretch.hpp"
#include "memory/guest_memory.hpp"

#include <atomic>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace strata::cpu::lockstep {

class DeviceWrites final : public memory::WriteObserver {
public:
    explicit DeviceWrites(const memory::GuestMemory& memory) : memory_(memory) {}

    // The calling thread is the processor's from now on.
    void adopt_thread() { processor_.store(std::this_thread::get_id()); }

    // While the processor is in a call of the Bus, what its thread writes is a device's, and goes into
    // `writes`.
    void begin_call(std::vector<DeviceWrite>& writes) { call_ = &writes; }

    void end_call() { call_ = nullptr; }

    // What other threads have written since the last time, in order.
    [[nodiscard]] std::vector<DeviceWrite> take() {
        const std::lock_guard lock(mutex_);
        return std::exchange(writes_, {});
    }

    void memory_written(memory::GuestPhysical address, std::uint64_t size) override {
        if (processor_.load() != std::this_thread::get_id()) {
            const std::lock_guard lock(mutex_);
            writes_.push_back(read(address, size));
        } else if (call_ != nullptr) {
            call_->push_back(read(address, size));
        }
    }

private:
    [[nodiscard]] DeviceWrite read(memory::GuestPhysical address, std::uint64_t size) const {
        DeviceWrite write{address, std::vector<std::byte>(size)};
        static_cast<void>(memory_.read(address, write.bytes.data(), size));
        return write;
    }

    const memory::GuestMemory& memory_;
    std::atomic<std::thread::id> processor_{};
    std::vector<DeviceWrite>* call_ = nullptr; // the processor's thread alone
    std::mutex mutex_;                         // guards writes_
    std::vector<DeviceWrite> writes_;
};

} // namespace strata::cpu::lockstep
