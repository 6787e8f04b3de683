// What windows of the host's MMU would cost and gain on this host: guest memory mapped where the guest's page
// tables have it, so that accesses need no check, and the host's page faults tell what is not there yet.
// Prints nanoseconds of processor time; docs/BENCHMARKS.md says how to read them. Linux: mmap(2),
// userfaultfd(2).
#include "base/thread_time.hpp"
#include "region_checks.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <functional>
#include <linux/userfaultfd.h>
#include <numeric>
#include <random>
#include <sched.h>
#include <string>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <thread>
#include <ucontext.h>
#include <unistd.h>
#include <vector>

namespace {

constexpr std::size_t page = 4096, large_page = std::size_t{2} << 20, pages = 16384, size = pages * page;

std::byte* checked(void* mapping, const char* what) {
    if (mapping == MAP_FAILED) {
        fmt::print(stderr, "{}: {}\n", what, std::strerror(errno));
        std::exit(1);
    }
    return static_cast<std::byte*>(mapping);
}

void require(bool done, const char* what) {
    if (!done) {
        fmt::print(stderr, "{}: {}\n", what, std::strerror(errno));
        std::exit(1);
    }
}

void run_on(int processor) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(processor, &set);
    static_cast<void>(sched_setaffinity(0, sizeof set, &set)); // there may be one alone
}

// The guest's memory: a memory file, all of which is there.
int memory_file() {
    static const int file = [] {
        const int made = memfd_create("guest", MFD_CLOEXEC);
        require(made >= 0 && ftruncate(made, size) == 0, "a memory file");
        std::memset(checked(mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, made, 0), "mmap"), 1,
                    size);
        return made;
    }();
    return file;
}

std::byte* map_file(std::byte* at, std::size_t offset, std::size_t length, int flags) {
    return checked(mmap(at, length, PROT_READ | PROT_WRITE,
                        MAP_SHARED | flags | (at != nullptr ? MAP_FIXED : 0), memory_file(),
                        static_cast<off_t>(offset)),
                   "mmap of a memory file");
}

std::byte* reserve() {
    return checked(mmap(nullptr, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0),
                   "mmap");
}

void release(std::byte* at) { require(munmap(at, size) == 0, "munmap"); }

// As a guest has them: neighbours are elsewhere.
std::size_t elsewhere(std::size_t number) { return number * 4099 % pages * page; }

void touch(volatile std::byte* at) { *at = std::byte{2}; }

// The thread's own time, so that other work on the machine is not counted.
double processor_time() { return std::chrono::duration<double, std::nano>(strata::thread_time()).count(); }

double wall_time() {
    return std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

// The least of five times, by one of `count`. Each gets a window that `prepare` makes.
double cost_of(std::size_t count, const std::function<std::byte*()>& prepare,
               const std::function<void(std::byte*)>& work, double (*now)() = processor_time) {
    std::array<double, 5> times{};
    for (double& time : times) {
        std::byte* window = prepare();
        const double begin = now();
        work(window);
        time = (now() - begin) / static_cast<double>(count);
        release(window);
    }
    return *std::ranges::min_element(times);
}

void say(const std::string& what, double nanoseconds) { fmt::print("{:<74}{:>10.2f}\n", what, nanoseconds); }

template <class Work>
std::function<void(std::byte*)> each_page(Work work) {
    return [work](std::byte* window) {
        for (std::size_t i = 0; i < pages; ++i) {
            work(window + i * page, i);
        }
    };
}

std::byte* scattered() {
    std::byte* window = reserve();
    for (std::size_t i = 0; i < pages; ++i) {
        map_file(window + i * page, elsewhere(i), page, MAP_POPULATE);
    }
    return window;
}

// ---- signals ----

std::byte* faulting_window =
    nullptr; // where the handler maps the page that was missed; null: it skips a load

extern "C" void on_fault(int, siginfo_t* info, void* context) {
    if (faulting_window == nullptr) {
        static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_RIP] += 3;
        return;
    }
    auto* at = reinterpret_cast<std::byte*>(reinterpret_cast<std::uintptr_t>(info->si_addr) & ~(page - 1));
    map_file(at, elsewhere(static_cast<std::size_t>(at - faulting_window) / page), page, MAP_POPULATE);
}

void load_that_faults(const std::byte* at) { // three bytes
    asm volatile("movq (%0), %%rax" : : "D"(at) : "rax", "memory");
}

double cost_of_signal() {
    faulting_window = nullptr;
    return cost_of(pages, reserve, each_page([](std::byte* at, std::size_t) { load_that_faults(at); }));
}

double cost_of_page_by_signal() {
    return cost_of(
        pages,
        [] {
            faulting_window = reserve();
            return faulting_window;
        },
        each_page([](std::byte* at, std::size_t) { touch(at); }));
}

// ---- other threads ----

// Runs while another thread of the process is busy on another processor.
double beside_another(const std::function<double()>& measure) {
    std::atomic<bool> runs = false;
    std::jthread other([&runs](const std::stop_token& stop) {
        run_on(1);
        runs = true;
        while (!stop.stop_requested()) {
        }
    });
    while (!runs) {
        std::this_thread::yield();
    }
    return measure();
}

double cost_of_taking_away() {
    return cost_of(pages, scattered,
                   each_page([](std::byte* at, std::size_t) { require(munmap(at, page) == 0, "munmap"); }));
}

double cost_of_protecting() {
    return cost_of(pages, scattered, each_page([](std::byte* at, std::size_t) {
                       require(mprotect(at, page, PROT_READ) == 0, "mprotect");
                   }));
}

double cost_of_emptying() {
    return cost_of(pages, scattered, [](std::byte* window) {
        checked(mmap(window, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0),
                "mmap");
    });
}

// ---- userfaultfd ----

// Pages that are in the file and not in the page tables are told to a thread, which has them mapped; such
// windows show the file as it is, not scattered. 0: not to be had here.
double cost_of_minor_faults(bool ahead) {
    const int descriptor =
        static_cast<int>(syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY));
    uffdio_api api{.api = UFFD_API, .features = UFFD_FEATURE_MINOR_SHMEM, .ioctls = 0};
    if (descriptor < 0 || ioctl(descriptor, UFFDIO_API, &api) != 0) {
        return 0;
    }
    const auto have_mapped = [descriptor](std::uintptr_t at, std::size_t length) {
        uffdio_continue wanted{.range = {.start = at, .len = length}, .mode = 0, .mapped = 0};
        require(ioctl(descriptor, UFFDIO_CONTINUE, &wanted) == 0 || errno == EEXIST, "UFFDIO_CONTINUE");
    };
    std::jthread handler([&](const std::stop_token& stop) {
        run_on(1);
        while (!stop.stop_requested()) {
            uffd_msg message;
            if (read(descriptor, &message, sizeof message) == sizeof message) {
                have_mapped(message.arg.pagefault.address & ~(page - 1), page);
            }
        }
    });
    const double cost = cost_of(
        pages,
        [&] {
            std::byte* window = map_file(nullptr, 0, size, 0);
            uffdio_register range{.range = {.start = reinterpret_cast<std::uintptr_t>(window), .len = size},
                                  .mode = UFFDIO_REGISTER_MODE_MINOR,
                                  .ioctls = 0};
            require(ioctl(descriptor, UFFDIO_REGISTER, &range) == 0, "UFFDIO_REGISTER");
            return window;
        },
        each_page([&](std::byte* at, std::size_t) {
            if (ahead) {
                have_mapped(reinterpret_cast<std::uintptr_t>(at), page);
            }
            touch(at);
        }),
        wall_time);
    handler.request_stop();
    handler.join();
    close(descriptor);
    return cost;
}

std::byte* large_pages() {
    auto* at =
        checked(mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), "mmap");
    require(madvise(at, size, MADV_HUGEPAGE) == 0, "MADV_HUGEPAGE");
    return at;
}

double cost_of_large_page() {
    return cost_of(size / large_page, large_pages, [](std::byte* window) {
        for (std::size_t at = 0; at < size; at += large_page) {
            touch(window + at);
        }
    });
}

// Addresses all over the window, each of which is read from the one before.
double cost_of_random_access(std::byte* window) {
    constexpr std::size_t line = 64, lines = size / line, hops = 4'000'000;
    std::vector<std::uint32_t> order(lines);
    std::iota(order.begin(), order.end(), 0U);
    std::shuffle(order.begin(), order.end(), std::mt19937_64(1));
    for (std::size_t i = 0; i < lines; ++i) {
        std::byte* const next = window + order[(i + 1) % lines] * line;
        std::memcpy(window + order[i] * line, &next, sizeof next);
    }
    const std::byte* at = window;
    const double begin = processor_time();
    for (std::size_t i = 0; i < hops; ++i) {
        std::memcpy(&at, at, sizeof at);
    }
    const double took = processor_time() - begin;
    touch(const_cast<std::byte*>(at)); // so that it is worked out
    release(window);
    return took / hops;
}

// ---- all ----

double report_pages() {
    const auto whole_file = [] { return map_file(nullptr, 0, size, 0); };
    const auto touch_page = each_page([](std::byte* at, std::size_t) { touch(at); });
    fmt::print("{:<74}{:>10}\n", "a page of 4 KiB, of a memory file that has it", "ns");
    say("  first access to a mapping of all (a page fault of the kernel's alone)",
        cost_of(pages, whole_file, touch_page));
    say("  mmap(MAP_FIXED), not accessed yet",
        cost_of(pages, reserve,
                each_page([](std::byte* at, std::size_t i) { map_file(at, elsewhere(i), page, 0); })));
    const double mapping = cost_of(pages, reserve, each_page([](std::byte* at, std::size_t i) {
                                       map_file(at, elsewhere(i), page, MAP_POPULATE);
                                   }));
    say("  mmap(MAP_FIXED | MAP_POPULATE)", mapping);
    say("  another mmap in its place", cost_of(pages, scattered, each_page([](std::byte* at, std::size_t i) {
                                                   map_file(at, elsewhere(i + 7), page, MAP_POPULATE);
                                               })));
    say("  a SIGSEGV that is handled by skipping the load", cost_of_signal());
    const double by_signal = cost_of_page_by_signal();
    say("  a SIGSEGV that is handled by mmap", by_signal);
    say("  munmap", cost_of_taking_away());
    say("  munmap, another thread runs", beside_another(cost_of_taking_away));
    say("  mprotect", cost_of_protecting());
    say("  mprotect, another thread runs", beside_another(cost_of_protecting));
    const double emptying = cost_of_emptying();
    say("  all pages away at once", emptying);
    say("  all pages away at once, another thread runs", beside_another(cost_of_emptying));
    say("  userfaultfd: a minor fault, told to another thread, on the wall (0: not to be had)",
        cost_of_minor_faults(false));
    say("  userfaultfd: UFFDIO_CONTINUE ahead of the access (0: not to be had)", cost_of_minor_faults(true));
    fmt::print("a page of 2 MiB\n");
    say("  first access to anonymous memory, MADV_HUGEPAGE", cost_of_large_page());
    say("  mmap(MAP_FIXED | MAP_POPULATE) of a memory file, in pages of 4 KiB",
        cost_of(size / large_page, reserve, [](std::byte* window) {
            for (std::size_t at = 0; at < size; at += large_page) {
                map_file(window + at, at, large_page, MAP_POPULATE);
            }
        }));
    return by_signal + emptying;
}

void report_accesses(double page_cost) {
    const bench::AccessCosts stream = bench::cost_of_stream(), chase = bench::cost_of_chase();
    say("an access anywhere in 64 MiB, one after the other: pages of 4 KiB",
        cost_of_random_access(scattered()));
    say("an access anywhere in 64 MiB, one after the other: pages of 2 MiB",
        cost_of_random_access(large_pages()));
    fmt::print("an access in the first cache\n");
    for (const auto& [name, costs] :
         {std::pair{"independent", stream}, std::pair{"one after the other", chase}}) {
        say(fmt::format("  {}: without a check", name), costs.plain);
        say(fmt::format("  {}: with a check", name), costs.checked);
        say(fmt::format("  {}: with a check that puts a flag away and gives it back", name), costs.borrowed);
    }
    fmt::print("checked accesses to a page, between its coming and its going, from which a window wins\n");
    for (const auto& [name, gain] : {std::pair{"independent", stream.checked - stream.plain},
                                     std::pair{"one after the other", chase.checked - chase.plain},
                                     std::pair{"independent, with flags", stream.borrowed - stream.plain}}) {
        if (gain > 0) {
            say(fmt::format("  {}: {:.2f} ns gained at each", name, gain), page_cost / gain);
        } else {
            fmt::print("  {}: nothing gained\n", name);
        }
    }
}

} // namespace

int main() {
    run_on(0);
    struct sigaction action{};
    action.sa_sigaction = on_fault;
    action.sa_flags = SA_SIGINFO | SA_NODEFER;
    require(sigaction(SIGSEGV, &action, nullptr) == 0, "sigaction");
    report_accesses(report_pages());
    return 0;
}
