// The thread of one virtual CPU: runs it, sleeps while it is halted, parks when asked to.
#pragma once

#include "cpu/engine.hpp"
#include "vm/counted_time.hpp"

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>

namespace strata::vm {

class VcpuRunner {
public:
    // Called on the vCPU's thread when it stops by itself (Exit::shutdown, Exit::debug); it is parked then.
    using StopCallback = std::function<void(unsigned vcpu, cpu::Exit exit)>;

    // The thread starts parked. `time`, if there is one, is made of the vCPU's instructions.
    VcpuRunner(unsigned id, std::unique_ptr<cpu::Vcpu> vcpu, StopCallback on_stop,
               CountedTime* time = nullptr);
    ~VcpuRunner();
    VcpuRunner(const VcpuRunner&) = delete;
    VcpuRunner& operator=(const VcpuRunner&) = delete;

    [[nodiscard]] unsigned id() const { return id_; }

    // The vCPU itself: its state may be used while it is parked.
    [[nodiscard]] cpu::Vcpu& vcpu() { return *vcpu_; }

    // While it is parked: another vCPU takes the place of this one, which is returned.
    [[nodiscard]] std::unique_ptr<cpu::Vcpu> replace(std::unique_ptr<cpu::Vcpu> vcpu) {
        return std::exchange(vcpu_, std::move(vcpu));
    }

    void resume();
    // Asks it to park soon; any thread, also under the device lock.
    void request_park();
    // Waits until it is parked; not under the device lock, which the vCPU may be waiting for.
    void wait_parked();

    [[nodiscard]] bool parked();

    [[nodiscard]] bool on_own_thread() const { return std::this_thread::get_id() == thread_.get_id(); }

private:
    enum class Wanted : std::uint8_t { parked, running, ended };

    void loop();
    bool wait_until_wanted();
    void sleep_while_halted();
    void sleep_until(std::uint32_t signals);
    void stop_by_itself(cpu::Exit exit);
    void want(Wanted wanted);

    const unsigned id_;
    std::unique_ptr<cpu::Vcpu> vcpu_;
    StopCallback on_stop_;
    CountedTime* const time_;
    std::mutex mutex_;
    std::condition_variable changed_;
    Wanted wanted_ = Wanted::parked; // guarded by mutex_
    bool parked_ = false;            // guarded by mutex_
    std::thread thread_;
};

} // namespace strata::vm
