// Runs a fuzz target without libFuzzer, so that the ordinary build tests it: every input of its corpus, then
// for a while inputs made of them by chance. Links with one NAME_fuzz.cpp.
//
//   NAME_replay CORPUS [SECONDS [SEED]]
//
// On a fault the input under test is in NAME_replay.input, in the current folder.
#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <iterator>
#include <random>
#include <span>
#include <string>
#include <unistd.h>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

// A target may have it: whether the corpus, all of which was run, reached what it is for. Says so if not.
extern "C" [[gnu::weak]] bool corpus_reached_enough();

namespace {

using Bytes = std::vector<std::uint8_t>;
using Random = std::mt19937_64;

constexpr unsigned slowest = 20;          // seconds for one input
constexpr std::size_t largest = 16 << 10; // bytes of a made input

std::string record_path;                // where the input goes
std::span<const std::uint8_t> on_trial; // what the handler writes there

// Keeps the input, then lets the signal end the program as it would have. Only system calls: anything may be
// broken.
extern "C" void keep_input(int signal) {
    const int file = ::open(record_path.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644);
    if (file < 0 || ::write(file, on_trial.data(), on_trial.size()) < 0) {
        constexpr char message[] = "the input could not be kept\n";
        [[maybe_unused]] const auto written = ::write(STDERR_FILENO, message, sizeof message - 1);
    }
    ::signal(signal, SIG_DFL);
    ::raise(signal);
}

void watch_for_faults() {
    for (const int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGALRM}) {
        std::signal(signal, keep_input);
    }
}

// In a buffer of its own, exactly as large as the input, so that memory checkers see its ends.
void run(const Bytes& input) {
    const Bytes copy(input.begin(), input.end());
    on_trial = copy;
    ::alarm(slowest);
    LLVMFuzzerTestOneInput(copy.data(), copy.size());
    ::alarm(0);
}

std::vector<Bytes> read_corpus(const std::filesystem::path& folder) {
    std::vector<std::filesystem::path> paths;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
        paths.push_back(entry.path());
    }
    std::ranges::sort(paths);
    std::vector<Bytes> corpus;
    for (const auto& path : paths) {
        std::ifstream file(path, std::ios::binary);
        corpus.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
    }
    return corpus;
}

std::size_t below(Random& random, std::size_t limit) {
    return std::uniform_int_distribution<std::size_t>(0, limit - 1)(random);
}

// One change: a bit, a byte, a word of note, a part taken out, doubled, or spliced in from another input.
void mutate(Bytes& bytes, const Bytes& other, Random& random) {
    if (bytes.empty()) {
        bytes = other;
        bytes.push_back(0);
        return;
    }
    const std::size_t at = below(random, bytes.size());
    const std::size_t length = 1 + below(random, std::min<std::size_t>(64, bytes.size() - at));
    const auto begin = bytes.begin() + static_cast<std::ptrdiff_t>(at);
    const auto end = begin + static_cast<std::ptrdiff_t>(length);
    switch (below(random, 6)) {
    case 0: *begin ^= static_cast<std::uint8_t>(1U << below(random, 8)); break;
    case 1: *begin = static_cast<std::uint8_t>(random()); break;
    case 2: std::fill(begin, end, below(random, 2) == 0 ? 0 : 0xFF); break;
    case 3: bytes.erase(begin, end); break;
    case 4: {
        const Bytes part(begin, end);
        bytes.insert(end, part.begin(), part.end());
        break;
    }
    default:
        bytes.resize(at);
        bytes.insert(bytes.end(), other.begin(),
                     other.begin() + static_cast<std::ptrdiff_t>(other.size() / 2));
        break;
    }
    bytes.resize(std::min(bytes.size(), largest));
}

std::size_t run_mutations(const std::vector<Bytes>& corpus, std::chrono::seconds time, std::uint64_t seed) {
    Random random(seed);
    std::size_t count = 0;
    for (const auto end = std::chrono::steady_clock::now() + time; std::chrono::steady_clock::now() < end;
         ++count) {
        Bytes input = corpus[below(random, corpus.size())];
        for (std::size_t changes = 1 + below(random, 8); changes != 0; --changes) {
            mutate(input, corpus[below(random, corpus.size())], random);
        }
        run(input);
    }
    return count;
}

} // namespace

int main(int argc, char** argv) {
    try {
        const std::span arguments(argv, static_cast<std::size_t>(argc));
        if (arguments.size() < 2) {
            std::fprintf(stderr, "usage: %s CORPUS [SECONDS [SEED]]\n", arguments[0]);
            return 2;
        }
        record_path = std::filesystem::path(arguments[0]).filename().string() + ".input";
        const auto corpus = read_corpus(arguments[1]);
        if (corpus.empty()) {
            std::fprintf(stderr, "%s holds no input\n", arguments[1]);
            return 2;
        }
        const std::chrono::seconds time(arguments.size() > 2 ? std::stoul(arguments[2]) : 0);
        const std::uint64_t seed = arguments.size() > 3 ? std::stoull(arguments[3]) : std::random_device{}();
        watch_for_faults();
        std::ranges::for_each(corpus, run);
        std::printf("%zu inputs of the corpus; mutations with seed %llu\n", corpus.size(),
                    static_cast<unsigned long long>(seed));
        std::fflush(stdout);
        if (corpus_reached_enough != nullptr && !corpus_reached_enough()) {
            return 1;
        }
        std::printf("%zu mutated inputs\n", run_mutations(corpus, time, seed));
        return 0;
    } catch (const std::exception& e) {
        std::fprintf(stderr, "%s\n", e.what());
        return 1;
    }
}
