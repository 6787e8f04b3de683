// The real processor, reached through a process that executes cases (native_process.cpp).
#pragma once

#include "base/error.hpp"
#include "base/file_descriptor.hpp"
#include "test_case.hpp"

#include <memory>
#include <span>
#include <string>
#include <sys/types.h>

namespace strata::oracle {

class NativeProcessor {
public:
    // `program` is the path of strata_oracle_native; `width` is that of the cases' code, 64, 32 or 16, which
    // the host may lack. `constant` fills the read-only page.
    static Result<std::unique_ptr<NativeProcessor>> start(std::string program, unsigned width,
                                                          const std::array<std::uint8_t, page>& constant);
    ~NativeProcessor();
    NativeProcessor(const NativeProcessor&) = delete;
    NativeProcessor& operator=(const NativeProcessor&) = delete;

    // The cases of the next batch are written here; submit() sets the processor to work on the first `count`.
    [[nodiscard]] std::span<TestCase, batch_size> inputs() { return mailbox_->inputs; }

    Result<void> submit(std::uint32_t count);
    // Waits for them. A case that took the process with it is Ending::lost, and the rest are run by a new
    // one.
    Result<std::span<const Outcome>> collect();

private:
    NativeProcessor(std::string program, unsigned width, FileDescriptor memory, Mailbox* mailbox);
    Result<void> spawn();
    void reap();
    Result<void> command(std::uint32_t first);

    std::string program_;
    std::string width_;
    FileDescriptor memory_;
    Mailbox* mailbox_;
    FileDescriptor channel_;
    pid_t pid_ = -1;
    std::uint32_t count_ = 0;
};

} // namespace strata::oracle
