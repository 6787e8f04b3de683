// What translators have made of guest code, in a file, so that a later machine with the same code need not
// make it again (VcpuConfig::translations). Any number of machines may have the same file.
#pragma once

#include "base/error.hpp"
#include "base/file_descriptor.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace strata::cpu {

namespace translator {
class TraceStore;
}

class TranslationCache {
public:
    // Opens or makes the file, and takes what is in it. What is in it is executed: so it has to be the
    // user's, and nobody else may write to it.
    static Result<std::unique_ptr<TranslationCache>> open(const std::string& path);
    ~TranslationCache();
    TranslationCache(const TranslationCache&) = delete;
    TranslationCache& operator=(const TranslationCache&) = delete;

    // Why what the file holds was not taken; empty if it was.
    [[nodiscard]] const std::string& passed_over() const { return passed_over_; }

    // Puts what was made since into the file, beside what other machines have put there meanwhile; what none
    // of the last machines asked for goes. Opens nothing.
    [[nodiscard]] Result<void> save();

    // Of this machine's processors, on any engine.
    [[nodiscard]] translator::TraceStore& store() { return *store_; }

private:
    using Identity = std::array<std::uint8_t, 32>; // translator::BuildIdentity

    TranslationCache(std::string path, FileDescriptor file, const Identity& build);

    // What is in the file now is put into the store. Returns why not; empty if it was.
    [[nodiscard]] Result<std::string> take();
    // Whether it is what was taken last.
    [[nodiscard]] bool is_taken() const;

    std::string path_;
    FileDescriptor file_;
    Identity build_;
    unsigned user_; // whose it has to be; a running machine can't ask any more
    std::unique_ptr<translator::TraceStore> store_;
    std::vector<std::byte> taken_; // the header, with its digest, of what is in the store
    std::string passed_over_;
};

} // namespace strata::cpu
